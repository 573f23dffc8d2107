"""GAN: generative adversarial networks."""

from numbers import Integral, Real
from typing import Any, Literal, cast

import torch
from sklearn.utils import check_scalar
from torch import Tensor, nn
from torch.nn.functional import mse_loss, softplus

from hashlearn._training import Training, Workers
from hashlearn.generative.base import GenerativeModel
from hashlearn.generative.networks import bound, make_encoder, make_generator, start_as_dcgan

GeneratorLoss = Literal["non-saturating", "minimax"]


class GAN(GenerativeModel):
    r"""Learn a generator that a discriminator cannot tell from the data.

    The discriminator gives the probability :math:`D(x)` that an item is of the data; the generator
    makes items :math:`G(z)` of noise :math:`z \sim N(0, I)` [1]_:

    .. math:: \min_G \max_D E_x \log D(x) + E_z \log (1 - D(G(z))).

    The best discriminator is :math:`D(x) = p(x) / (p(x) + p_G(x))`, for which the objective is
    :math:`2 JS(p \| p_G) - \log 4`. Where :math:`D(G(z))` is near 0, as it is at first, the
    gradient by the generator vanishes with :math:`D`; it then rather maximises
    :math:`E_z \log D(G(z))`, whose gradient does not.

    Parameters
    ----------
    n_latent : int, default=64
        Values of :math:`z`. Paper: 100 for MNIST (released code).
    loss : {"non-saturating", "minimax"}, default="non-saturating"
        What the generator minimises: :math:`-\log D(G(z))`, or :math:`\log (1 - D(G(z)))`.
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
        Real items a step, and as many made ones. Paper: 100 (released code).
    lr : float, default=0.0002
        Step size of Adam. Paper: 0.1 of plain descent (released code); this is DCGAN's.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the networks, the batches and the noise.

    Attributes
    ----------
    networks_ : dict of str to ndarray
        Parameters of the generator and the discriminator.
    embedding_ : dict of str to ndarray, float32
        Layers of the network whose values :meth:`embed` gives.
    samples_ : ndarray of shape (64, ...)
        Items made at the end of ``fit``.
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
    Differences from the paper: the networks are convolutional for images, and rectified and
    normalised in place of maxout and dropout; both are trained by Adam.

    A GAN has no encoder. ``reconstruct`` looks for the noise whose item is nearest to the given
    one, by 200 steps of descent from zero; ``embed`` gives the discriminator's last hidden layer,
    the features of [2]_.

    References
    ----------
    .. [1] I. Goodfellow et al., 2014, "Generative adversarial nets", NIPS.
    .. [2] A. Radford, L. Metz and S. Chintala, 2016, "Unsupervised representation learning with
       deep convolutional generative adversarial networks", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> model = GAN(n_steps=20, width=4, random_state=0).fit(X)
    >>> model.sample(3).shape
    (3, 4)
    """

    def __init__(
        self,
        n_latent: int = 64,
        *,
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
        if self.loss not in ("non-saturating", "minimax"):
            raise ValueError(f'loss must be "non-saturating" or "minimax", got {self.loss!r}')
        for name in ("n_latent", "width", "depth", "n_steps", "batch_size"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.lr, "lr", Real, min_val=0, include_boundaries="neither")

    def _build(self) -> nn.ModuleDict:
        shape, width, depth = self._tensor_shape, self.width, self.depth
        networks = nn.ModuleDict(
            {
                "generator": make_generator(shape, self.n_latent, width=width, depth=depth),
                "discriminator": make_encoder(shape, 1, width=width, depth=depth),
            }
        )
        if len(shape) == 3:
            start_as_dcgan(networks)
        return networks

    def _train(
        self, networks: nn.ModuleDict, data: Tensor, given: Tensor | None, workers: Workers
    ) -> Training:
        G, D = networks["generator"], networks["discriminator"]
        optimisers = {
            name: torch.optim.Adam(network.parameters(), self.lr, betas=(0.5, 0.999))
            for name, network in networks.items()
        }
        training = self._training(networks, optimisers, workers, data, given)
        n_items = workers.share(min(self.batch_size, len(data)))
        for _ in training.steps(self.n_steps, "GAN"):
            rows = torch.randint(len(data), (n_items,), device=data.device)
            x = data.index_select(0, rows)
            fake = bound(G(torch.randn(n_items, self.n_latent, device=data.device)))
            real_logits, fake_logits = D(x), D(fake.detach())
            d_loss = discriminator_loss(real_logits, fake_logits)
            optimisers["discriminator"].zero_grad()
            d_loss.backward()
            workers.average_gradients(D)
            optimisers["discriminator"].step()
            g_loss = generator_loss(D(fake), self.loss)
            optimisers["generator"].zero_grad()
            g_loss.backward()
            workers.average_gradients(G)
            optimisers["generator"].step()
            training.record(
                discriminator=d_loss,
                generator=g_loss,
                real=torch.sigmoid(real_logits).mean(),
                fake=torch.sigmoid(fake_logits).mean(),
            )
        return training

    def _sample(
        self,
        networks: nn.ModuleDict,
        n_samples: int,
        given: Tensor | None,  # noqa: ARG002
    ) -> Tensor:
        G = networks["generator"]
        device = next(G.parameters()).device
        return bound(G(torch.randn(n_samples, self.n_latent, device=device)))

    def _reconstruct(self, networks: nn.ModuleDict, data: Tensor) -> Tensor:
        G = networks["generator"]
        z = torch.zeros(len(data), self.n_latent, device=data.device, requires_grad=True)
        optimiser = torch.optim.Adam([z], 0.1)
        for _ in range(200):
            optimiser.zero_grad()
            mse_loss(bound(G(z)), data, reduction="sum").backward()
            optimiser.step()
        return bound(G(z))

    def _encoder(self, networks: nn.ModuleDict) -> nn.Sequential:
        return cast(nn.Sequential, cast(nn.Sequential, networks["discriminator"])[:-1])


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    r"""Compute :math:`-E_x \log D(x) - E_z \log (1 - D(G(z)))`.

    Parameters
    ----------
    real_logits : Tensor of shape (n, ...), float32
        Log odds that the discriminator gives to items of the data.
    fake_logits : Tensor of shape (m, ...), float32
        Log odds that it gives to items of the generator.

    Returns
    -------
    Tensor of shape (), float32
        Loss, in nats.
    """
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor, loss: GeneratorLoss) -> Tensor:
    r"""Compute :math:`-E_z \log D(G(z))`, or for the minimax game :math:`E_z \log (1 - D(G(z)))`.

    Parameters
    ----------
    fake_logits : Tensor of shape (n, ...), float32
        Log odds that the discriminator gives to items of the generator.
    loss : {"non-saturating", "minimax"}
        Which of the two.

    Returns
    -------
    Tensor of shape (), float32
        Loss, in nats.
    """
    if loss == "minimax":
        return -softplus(fake_logits).mean()
    return softplus(-fake_logits).mean()
