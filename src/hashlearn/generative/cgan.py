"""CGAN: conditional generative adversarial networks."""

from numbers import Integral, Real
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_scalar
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from hashlearn._training import Training, Workers
from hashlearn.generative.base import GenerativeModel
from hashlearn.generative.gan import GeneratorLoss, discriminator_loss, generator_loss
from hashlearn.generative.items import FloatArray
from hashlearn.generative.networks import (
    SLOPE,
    bound,
    make_encoder,
    make_generator,
    start_as_dcgan,
)

Joining = Literal["projection", "features"]

_JOINT_UNITS = 128
"""Of the layer that sees features and condition together."""


class CGAN(GenerativeModel):
    r"""Learn a generator of items with given labels, or with given codes.

    As in a GAN, a discriminator learns the probability that an item is of the data, and a generator
    to deceive it; both are given a condition :math:`y` of the item [1]_:

    .. math::

        \min_G \max_D E_{x, y} \log D(x | y) + E_{z, y} \log (1 - D(G(z | y) | y)),
        \quad z \sim N(0, I),

    with the conditions of the data. The generator takes :math:`z` and :math:`y` side by side. The
    discriminator makes features :math:`\phi(x)` of an item, and joins the condition to these: by a
    layer that sees both, or as a *projection* [2]_, whose logit is
    :math:`w^T \phi(x) + y^T V \phi(x)`.

    Parameters
    ----------
    n_latent : int, default=64
        Values of :math:`z`. Paper: 100.
    joining : {"projection", "features"}, default="projection"
        How the discriminator sees the condition. Paper: by a layer of features and condition.
    loss : {"non-saturating", "minimax"}, default="non-saturating"
        What the generator minimises: :math:`-\log D`, or :math:`\log (1 - D)`.
    width : int, default=32
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer.
    depth : int, default=2
        Hidden layers of each network. Images of 32 pixels and more take 3.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_steps : int, default=3000
        Steps of both networks.
    batch_size : int, default=64
        Real items a step, at least 2, and as many made ones. Paper: 100.
    lr : float, default=0.0002
        Step size of Adam. Paper: 0.1 of descent with momentum; this is DCGAN's.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the networks, the batches and the noise.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), int64
        Class numbers of ``fit``, in their order; empty where conditions were 0/1 matrices.
    n_conditions_ : int
        Values of a condition: classes, or columns of the matrix.
    networks_ : dict of str to ndarray
        Parameters of the generator, the discriminator and what joins the condition.
    embedding_ : dict of str to ndarray, float32
        Layers of :math:`\phi`, whose values :meth:`embed` gives.
    samples_ : ndarray of shape (64, ...)
        Items made at the end of ``fit``, of the first conditions.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Per step: ``"discriminator"`` and ``"generator"``, their losses; ``"real"`` and ``"fake"``,
        the mean of :math:`D` on either.
    item_shape_ : tuple of int
        Shape of an item: (height, width), (height, width, channels) or (d,).
    item_dtype_ : str
        Kind of the numbers in ``fit``.
    shift_ : ndarray of shape (1,) or (d,), float32
        What is subtracted from a row.
    scale_ : float
        What the difference is divided by.
    n_features_in_ : int
        Numbers of an item.

    Notes
    -----
    Differences from the paper: 1. the networks are convolutional for images, and rectified and
    normalised in place of maxout and dropout; both are trained by Adam; 2. noise is Gaussian in
    place of uniform; 3. the condition is joined by projection unless asked otherwise.

    Class numbers are given as vectors with a single 1. ``reconstruct`` looks for the noise and the
    condition whose item is nearest to the given one, by 200 steps of descent from zero noise and a
    mixture of all conditions alike; ``embed`` gives :math:`\phi(x)`, which no condition changes.

    A step takes O(batch_size) passes through both networks.

    References
    ----------
    .. [1] M. Mirza and S. Osindero, 2014, "Conditional generative adversarial nets", arXiv
       1411.1784.
    .. [2] T. Miyato and M. Koyama, 2018, "cGANs with projection discriminator", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> y = np.arange(100) % 3
    >>> model = CGAN(n_steps=20, width=4, random_state=0).fit(X, y)
    >>> model.sample(2, y=[0, 2]).shape
    (2, 4)
    """

    supervised: ClassVar[bool] = True

    classes_: NDArray[np.int64]
    n_conditions_: int

    def __init__(
        self,
        n_latent: int = 64,
        *,
        joining: Joining = "projection",
        loss: GeneratorLoss = "non-saturating",
        width: int = 32,
        depth: int = 2,
        image_shape: tuple[int, ...] | None = None,
        n_steps: int = 3000,
        batch_size: int = 64,
        lr: float = 0.0002,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_latent = n_latent
        self.joining = joining
        self.loss = loss
        self.width = width
        self.depth = depth
        self.image_shape = image_shape
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.lr = lr
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def _check_parameters(self) -> None:
        if self.joining not in ("projection", "features"):
            raise ValueError(f'joining must be "projection" or "features", got {self.joining!r}')
        if self.loss not in ("non-saturating", "minimax"):
            raise ValueError(f'loss must be "non-saturating" or "minimax", got {self.loss!r}')
        for name in ("n_latent", "width", "depth", "n_steps"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        check_scalar(self.lr, "lr", Real, min_val=0, include_boundaries="neither")

    def _conditions(self, y: Any, *, reset: bool) -> FloatArray:
        given = np.asarray(y)
        if given.dtype.kind not in "biu" and not (
            given.dtype.kind == "f" and np.array_equal(given, np.rint(given))
        ):
            raise ValueError(f"y must hold class numbers, or 0 and 1, got {given.dtype}")
        if given.ndim == 1:
            return self._one_hot(given.astype(np.int64), reset=reset)
        if given.ndim != 2 or given.shape[1] == 0:
            raise ValueError(f"y must have one axis or two and some value, got the shape "
                             f"{given.shape}")  # fmt: skip
        if not np.isin(given, (0, 1)).all():
            raise ValueError("a matrix of labels or codes must hold 0 and 1 only")
        if reset:
            self.classes_, self.n_conditions_ = np.empty(0, np.int64), given.shape[1]
        if len(self.classes_) or given.shape[1] != self.n_conditions_:
            kind = "class numbers" if len(self.classes_) else f"{self.n_conditions_} columns"
            raise ValueError(f"y has the shape {given.shape}, in fit it had {kind}")
        return given.astype(np.float32)

    def _one_hot(self, numbers: NDArray[np.int64], *, reset: bool) -> FloatArray:
        if reset:
            if len(numbers) and numbers.min() < 0:
                raise ValueError(
                    f"class numbers must be at least 0, got {numbers.min()}; every item needs one"
                )
            self.classes_ = np.unique(numbers)
            self.n_conditions_ = len(self.classes_)
        if not len(self.classes_):
            raise ValueError(
                f"y holds class numbers, in fit it was a matrix of {self.n_conditions_} columns"
            )
        unseen = np.setdiff1d(numbers, self.classes_)
        if len(unseen):
            raise ValueError(f"y holds the class {unseen[0]}, which was not seen in fit")
        return np.asarray(numbers[:, None] == self.classes_, np.float32)

    def _build(self) -> nn.ModuleDict:
        shape, width, depth = self._tensor_shape, self.width, self.depth
        n_inputs = self.n_latent + self.n_conditions_
        discriminator = make_encoder(shape, 1, width=width, depth=depth)
        n_features = cast(nn.Linear, discriminator[-1]).in_features
        joint: nn.Module = nn.Linear(self.n_conditions_, n_features, bias=False)
        if self.joining == "features":
            joint = nn.Sequential(
                nn.Linear(n_features + self.n_conditions_, _JOINT_UNITS),
                nn.LeakyReLU(SLOPE),
                nn.Linear(_JOINT_UNITS, 1),
            )
        networks = nn.ModuleDict(
            {
                "generator": make_generator(shape, n_inputs, width=width, depth=depth),
                "discriminator": discriminator,
                "joint": joint,
            }
        )
        if len(shape) == 3:
            start_as_dcgan(networks)
        return networks

    def _train(
        self, networks: nn.ModuleDict, data: Tensor, given: Tensor | None, workers: Workers
    ) -> Training:
        assert given is not None
        G = networks["generator"]
        D = nn.ModuleList([networks["discriminator"], networks["joint"]])
        optimisers = {
            name: torch.optim.Adam(network.parameters(), self.lr, betas=(0.5, 0.999))
            for name, network in (("generator", G), ("discriminator", D))
        }
        training = self._training(networks, optimisers, workers, data, given)
        n_items = workers.share(min(self.batch_size, len(data)))
        for _ in training.steps(self.n_steps, "CGAN"):
            rows = torch.randint(len(data), (n_items,), device=data.device)
            x, y = data.index_select(0, rows), given.index_select(0, rows)
            z = torch.randn(n_items, self.n_latent, device=data.device)
            fake = bound(G(torch.cat([z, y], dim=1)))
            real_logits = conditional_logits(networks, x, y)
            fake_logits = conditional_logits(networks, fake.detach(), y)
            d_loss = discriminator_loss(real_logits, fake_logits)
            optimisers["discriminator"].zero_grad()
            d_loss.backward()
            workers.average_gradients(D)
            optimisers["discriminator"].step()
            D.requires_grad_(False)
            g_loss = generator_loss(conditional_logits(networks, fake, y), self.loss)
            optimisers["generator"].zero_grad()
            g_loss.backward()
            D.requires_grad_(True)
            workers.average_gradients(G)
            optimisers["generator"].step()
            training.record(
                discriminator=d_loss,
                generator=g_loss,
                real=torch.sigmoid(real_logits).mean(),
                fake=torch.sigmoid(fake_logits).mean(),
            )
        return training

    def _sample(self, networks: nn.ModuleDict, n_samples: int, given: Tensor | None) -> Tensor:
        assert given is not None
        z = torch.randn(n_samples, self.n_latent, device=given.device)
        return bound(networks["generator"](torch.cat([z, given], dim=1)))

    def _reconstruct(self, networks: nn.ModuleDict, data: Tensor) -> Tensor:
        G = networks["generator"]
        z = torch.zeros(len(data), self.n_latent, device=data.device, requires_grad=True)
        odds = torch.zeros(len(data), self.n_conditions_, device=data.device, requires_grad=True)
        are_classes = len(self.classes_) > 0

        def items() -> Tensor:
            y = torch.softmax(odds, dim=1) if are_classes else torch.sigmoid(odds)
            return bound(G(torch.cat([z, y], dim=1)))

        optimiser = torch.optim.Adam([z, odds], 0.1)
        for _ in range(200):
            optimiser.zero_grad()
            mse_loss(items(), data, reduction="sum").backward()
            optimiser.step()
        return items()

    def _encoder(self, networks: nn.ModuleDict) -> nn.Sequential:
        return cast(nn.Sequential, cast(nn.Sequential, networks["discriminator"])[:-1])


def conditional_logits(networks: nn.ModuleDict, x: Tensor, y: Tensor) -> Tensor:
    r"""Compute the logits of :math:`D(x | y)`.

    Parameters
    ----------
    networks : nn.ModuleDict
        ``"discriminator"`` of items, and ``"joint"``, what joins the condition: linear for a
        projection, else a network of features and condition.
    x : Tensor of shape (n, ...), float32
        Scaled items.
    y : Tensor of shape (n, n_conditions), float32
        Conditions.

    Returns
    -------
    Tensor of shape (n, 1), float32
        Log odds that the items are of the data.
    """
    discriminator, joint = cast(nn.Sequential, networks["discriminator"]), networks["joint"]
    features = discriminator[:-1](x)
    if isinstance(joint, nn.Linear):
        projection = (joint(y) * features).sum(dim=1, keepdim=True)
        return cast(Tensor, discriminator[-1](features) + projection)
    return cast(Tensor, joint(torch.cat([features, y], dim=1)))
