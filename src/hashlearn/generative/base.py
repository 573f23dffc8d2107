"""The contract of every generative model: items in, and other items out."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from hashlearn._training import (
    Training,
    Workers,
    find_device,
    seeded,
    training_question,
    warn_of_equal_samples,
)
from hashlearn.generative.items import FloatArray, TakesItems
from hashlearn.generative.networks import apply_layers, export_layers
from hashlearn.storage import read_estimators, write_estimators

N_KEPT = 64
"""Samples that are kept after a fit, to be looked at."""

_BLOCK = 1000
"""Items that pass through a network at a time outside training."""


class GenerativeModel(TakesItems, BaseEstimator, ABC):
    """Learn to make items like those of a data set.

    Base class of all generative models. A model writes its constructor, :meth:`_build`,
    :meth:`_train`, :meth:`_sample`, :meth:`_reconstruct` and :meth:`_encoder`; everything else,
    from validation to saving, is here.

    Attributes
    ----------
    supervised : bool
        Whether ``fit`` and ``sample`` need labels or codes.
    """

    supervised: ClassVar[bool] = False

    device: str
    random_state: Any
    checkpoint: str | os.PathLike[str] | None

    networks_: dict[str, NDArray[Any]]
    embedding_: dict[str, FloatArray]
    history_: dict[str, FloatArray]
    samples_: NDArray[Any]

    @abstractmethod
    def _check_parameters(self) -> None:
        """Refuse parameters that are out of range."""

    @abstractmethod
    def _build(self) -> nn.ModuleDict:
        """Make the networks for items of ``_tensor_shape``, at their start."""

    @abstractmethod
    def _train(
        self, networks: nn.ModuleDict, data: Tensor, given: Tensor | None, workers: Workers
    ) -> Training:
        """Train the networks on scaled items, and what each was given."""

    @abstractmethod
    def _sample(self, networks: nn.ModuleDict, n_samples: int, given: Tensor | None) -> Tensor:
        """Draw scaled items with PyTorch's random numbers."""

    @abstractmethod
    def _reconstruct(self, networks: nn.ModuleDict, data: Tensor) -> Tensor:
        """Make each of some scaled items again."""

    @abstractmethod
    def _encoder(self, networks: nn.ModuleDict) -> nn.Sequential:
        """Give the network of ``make_encoder``'s kind whose values are the embedding."""

    def _conditions(self, y: Any, *, reset: bool) -> FloatArray | None:  # noqa: ARG002
        """Make what networks are given of labels; None where they are given nothing."""
        return None

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn to make items like these.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, d)
            Images or vectors. Whole numbers of images are divided by the largest of their type.
        y : array-like of shape (n,) or (n, n_labels), optional
            Labels or codes, for models that are given these; the others ignore them.

        Returns
        -------
        Self
            The fitted model.

        Raises
        ------
        ValueError
            If `X` is empty, of another number of axes, or holds NaN or infinity; if a parameter is
            out of range; if labels are needed and missing, or of the wrong length; if the
            checkpoint is of another training; or if training diverges.
        TypeError
            If `X` is not numeric, or a parameter has the wrong type.
        """
        self._check_parameters()
        rows = self._rows(X, reset=True, ensure_min_samples=2)
        conditions = self._checked_conditions(y, len(rows), reset=True)
        self._learn_scale(rows)
        workers = Workers(self.device)
        with seeded(check_random_state(self.random_state), workers.device):
            networks = self._build().to(workers.device)
            data = self._tensor(rows).to(workers.device)
            given = None if conditions is None else torch.from_numpy(conditions).to(workers.device)
            self.history_ = self._train(networks, data, given, workers).history()
            networks.eval()
            with torch.no_grad():
                if given is not None:
                    given = given[torch.arange(N_KEPT, device=given.device) % len(given)]
                samples = self._sample(networks, N_KEPT, given)
        self.networks_ = {
            name: part.cpu().numpy().copy() for name, part in networks.state_dict().items()
        }
        self.embedding_ = export_layers(self._encoder(networks), self._tensor_shape)
        self.samples_ = self._items(samples)
        warn_of_equal_samples(
            samples.flatten(1).cpu().numpy(), self._scaled(rows[:1000]), "try a smaller lr, "
            "another random_state, or narrower networks"
        )  # fmt: skip
        return self

    def sample(
        self, n_samples: int, y: ArrayLike | None = None, *, random_state: Any = None
    ) -> Any:
        """Draw new items.

        Parameters
        ----------
        n_samples : int
            How many.
        y : array-like of shape (n_samples,) or (n_samples, n_labels), optional
            Labels or codes of the items, for models that are given these.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        ndarray of shape (n_samples, ...), numeric
            Items in the shape, the units and the kind of numbers of those in ``fit``; vectors and
            images of floats are float32.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        ValueError
            If `n_samples` is below 1, or `y` is needed and missing, or of the wrong length.
        TypeError
            If `n_samples` is not an integer.
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        conditions = self._checked_conditions(y, n_samples, reset=False)
        networks = self._networks()
        device = next(networks.parameters()).device
        parts = []
        with seeded(check_random_state(random_state), device), torch.no_grad():
            for start in range(0, n_samples, _BLOCK):
                n_part = min(_BLOCK, n_samples - start)
                given = None
                if conditions is not None:
                    given = torch.from_numpy(conditions[start : start + n_part]).to(device)
                parts.append(self._sample(networks, n_part, given))
        return self._items(torch.cat(parts))

    def reconstruct(self, X: ArrayLike) -> NDArray[Any]:
        """Make items again from what the model keeps of them.

        Parameters
        ----------
        X : array-like of shape (n, ...), numeric
            Items like those of ``fit``.

        Returns
        -------
        ndarray of shape (n, ...), numeric
            Items, as those of ``sample``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        ValueError
            If `X` is empty, of another shape than in ``fit``, or holds NaN or infinity.
        """
        check_is_fitted(self)
        rows = self._rows(X)
        networks = self._networks()
        device = next(networks.parameters()).device
        parts = []
        with seeded(np.random.RandomState(0), device):
            for start in range(0, len(rows), _BLOCK):
                data = self._tensor(rows[start : start + _BLOCK]).to(device)
                parts.append(self._reconstruct(networks, data).detach())
        return self._items(torch.cat(parts))

    def embed(self, X: ArrayLike) -> FloatArray:
        """Compute what the model keeps of items.

        Parameters
        ----------
        X : array-like of shape (n, ...), numeric
            Items like those of ``fit``.

        Returns
        -------
        ndarray of shape (n, n_values), float32
            Values of the encoder. To the last bit, those of an item do not depend on the others.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        ValueError
            If `X` is empty, of another shape than in ``fit``, or holds NaN or infinity.
        """
        check_is_fitted(self)
        return apply_layers(self.embedding_, self._scaled(self._rows(X)), self._tensor_shape)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file: JSON and arrays, never a pickle.

        Parameters
        ----------
        path : path-like
            File to create or replace.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        """
        check_is_fitted(self)
        write_estimators(path, [self])

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model of this class.

        Parameters
        ----------
        path : path-like
            File of :meth:`save`.

        Returns
        -------
        Self
            The fitted model.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is foreign, damaged, of a newer format, or holds another model.
        """

        def find_class(name: str) -> type[Self]:
            if name != cls.__name__:
                raise ValueError(f"{path} holds {name}, not {cls.__name__}")
            return cls

        return cast(Self, read_estimators(path, find_class)[0])

    def _checked_conditions(self, y: Any, n_samples: int, *, reset: bool) -> FloatArray | None:
        if y is None:
            if self.supervised:
                raise ValueError(f"{type(self).__name__} needs y: labels or codes")
            return None
        if (shape := np.shape(y))[:1] != (n_samples,):
            raise ValueError(f"y has the shape {shape}, for {n_samples} samples")
        return self._conditions(y, reset=reset)

    def _training(
        self,
        networks: nn.ModuleDict,
        optimisers: Mapping[str, torch.optim.Optimizer],
        workers: Workers,
        data: Tensor,
        given: Tensor | None,
    ) -> Training:
        """Begin the training, or go on with the one in the checkpoint."""
        question = training_question(self, data, given)
        return Training(networks, optimisers, workers, self.checkpoint, question)

    def _networks(self) -> nn.ModuleDict:
        """Make the networks that were learned."""
        device = find_device(self.device)
        with seeded(np.random.RandomState(0), device):
            networks = self._build()
        tensors = {name: torch.from_numpy(part) for name, part in self.networks_.items()}
        networks.load_state_dict(tensors)
        return networks.to(device).eval()
