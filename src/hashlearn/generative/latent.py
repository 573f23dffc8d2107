"""What models with an encoder share: latent values in and out, and the likelihood of items."""

from abc import abstractmethod
from math import log, pi
from numbers import Integral
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from hashlearn._training import seeded
from hashlearn.generative.base import GenerativeModel
from hashlearn.generative.items import FloatArray
from hashlearn.generative.networks import Shape, bound

LikelihoodName = Literal["auto", "bernoulli", "gaussian"]

_LEAST_LOG_VARIANCE = -9.0
"""Else items that a decoder makes exactly would lead the variance to 0, densities to infinity."""

_AT_A_TIME = 1000


class LatentModel(GenerativeModel):
    """Encode items to a few latent values, and decode these.

    Base class. A model has the networks ``"encoder"``, whose values are the means of the latent
    ones, and ``"decoder"``, and writes :meth:`_draw`.
    """

    n_latent: int

    @abstractmethod
    def _draw(self, networks: nn.ModuleDict, data: Tensor) -> Tensor:
        """Draw latent values of each of some scaled items."""

    def _sample(
        self,
        networks: nn.ModuleDict,
        n_samples: int,
        given: Tensor | None,  # noqa: ARG002
    ) -> Tensor:
        decoder = networks["decoder"]
        device = next(networks.parameters()).device
        return bound(decoder(torch.randn(n_samples, self.n_latent, device=device)))

    def _reconstruct(self, networks: nn.ModuleDict, data: Tensor) -> Tensor:
        with torch.no_grad():
            return bound(networks["decoder"](networks["encoder"](data)))

    def _encoder(self, networks: nn.ModuleDict) -> nn.Sequential:
        return cast(nn.Sequential, networks["encoder"])

    def sample_posterior(
        self, X: ArrayLike, n_draws: int = 1, *, random_state: Any = None
    ) -> FloatArray:
        r"""Draw latent values of items from :math:`q(z | x)`.

        Parameters
        ----------
        X : array-like of shape (n, ...), numeric
            Items like those of ``fit``.
        n_draws : int, default=1
            Draws an item.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n, n_draws, n_latent), float32
            Latent values.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        ValueError
            If `n_draws` is below 1, or `X` is empty, of another shape than in ``fit``, or holds
            NaN or infinity.
        """
        check_is_fitted(self)
        check_scalar(n_draws, "n_draws", Integral, min_val=1)
        rows, networks = self._rows(X), self._networks()
        device = next(networks.parameters()).device
        parts = []
        with seeded(check_random_state(random_state), device), torch.no_grad():
            for start in range(0, len(rows), _AT_A_TIME):
                data = self._tensor(rows[start : start + _AT_A_TIME]).to(device)
                draws = [self._draw(networks, data) for _ in range(n_draws)]
                parts.append(torch.stack(draws, dim=1).cpu().numpy())
        return np.concatenate(parts)


class GaussianModel(LatentModel):
    r"""Encode items to Gaussians :math:`q(z | x) = N(\mu(x), diag(\sigma^2(x)))`.

    Base class. A model has the network ``"log_variance"`` too, beside the encoder's last layer.
    """

    def _draw(self, networks: nn.ModuleDict, data: Tensor) -> Tensor:
        mean, log_variance = gaussian_posterior(networks, data)
        return mean + torch.exp(log_variance / 2) * torch.randn_like(mean)


def gaussian_posterior(networks: nn.ModuleDict, data: Tensor) -> tuple[Tensor, Tensor]:
    r"""Compute :math:`\mu(x)` and :math:`\log \sigma^2(x)`.

    Parameters
    ----------
    networks : nn.ModuleDict
        With ``"encoder"``, whose last layer gives the means, and ``"log_variance"``, which stands
        beside that layer.
    data : Tensor of shape (n, ...), float32
        Scaled items.

    Returns
    -------
    mean : Tensor of shape (n, n_latent), float32
        Means.
    log_variance : Tensor of shape (n, n_latent), float32
        Logarithms of variances.
    """
    encoder = cast(nn.Sequential, networks["encoder"])
    features = encoder[:-1](data)
    return encoder[-1](features), networks["log_variance"](features)


def gaussian_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Compute :math:`KL(N(\mu, diag(\sigma^2)) \| N(0, I))`.

    Parameters
    ----------
    mean : Tensor of shape (n, n_latent), float32
        Means.
    log_variance : Tensor of shape (n, n_latent), float32
        Logarithms of variances.

    Returns
    -------
    Tensor of shape (n,), float32
        Divergences, in nats.
    """
    return (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1) / 2


class Likelihood(nn.Module):
    r"""The logarithm of :math:`p(x | z)` by what a decoder makes of :math:`z`.

    Bernoulli: a pixel's share of the range between the least and the largest of the training images
    counts as a probability. Gaussian: values have one variance, which is learned.

    Parameters
    ----------
    name : {"bernoulli", "gaussian"}
        Which of the two.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        if name == "gaussian":
            self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(self, values: Tensor, data: Tensor) -> Tensor:
        """Compute the logarithm of the likelihood of items.

        Parameters
        ----------
        values : Tensor of shape (n, ...), float32
            Values of a decoder, not yet bounded.
        data : Tensor of shape (n, ...), float32
            Scaled items.

        Returns
        -------
        Tensor of shape (n,), float32
            In nats; the density of a Gaussian is that of scaled items.
        """
        if not hasattr(self, "log_variance"):
            # tanh(v) = 2 sigmoid(2 v) - 1: bounded values are the means of these.
            share = ((data + 1) / 2).clamp(0, 1)
            lost = binary_cross_entropy_with_logits(2 * values, share, reduction="none")
            return -lost.flatten(1).sum(dim=1)
        log_variance = self.log_variance.clamp(min=_LEAST_LOG_VARIANCE)
        squares = (data - bound(values)).square().flatten(1)
        density = squares * torch.exp(-log_variance) + log_variance + log(2 * pi)
        return -density.sum(dim=1) / 2


def likelihood_of(name: LikelihoodName, shape: Shape) -> str:
    """Choose the likelihood of items: by default Bernoulli for images, Gaussian for vectors.

    Parameters
    ----------
    name : {"auto", "bernoulli", "gaussian"}
        What was asked for.
    shape : tuple of int
        Shape of an item as a tensor.

    Returns
    -------
    str
        ``"bernoulli"`` or ``"gaussian"``.

    Raises
    ------
    ValueError
        If vectors are to be Bernoulli.
    """
    is_image = len(shape) == 3
    if name == "bernoulli" and not is_image:
        raise ValueError(
            'likelihood="bernoulli" is for images, whose pixels lie in a range, and these are '
            f'vectors of {shape[0]} values; take "gaussian"'
        )
    if name == "auto":
        return "bernoulli" if is_image else "gaussian"
    return name
