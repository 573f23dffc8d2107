"""VAEGAN: an autoencoder whose errors a discriminator's features measure."""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, NamedTuple, cast

import torch
from sklearn.utils import check_scalar
from torch import Tensor, nn
from torch.nn.functional import softplus

from hashlearn._training import Training, Workers
from hashlearn.generative.latent import (
    GaussianModel,
    gaussian_divergence,
    gaussian_posterior,
)
from hashlearn.generative.networks import bound, make_encoder, make_generator, start_as_dcgan


class VAEGAN(GaussianModel):
    r"""Autoencode beyond pixels: compare items by the features of a discriminator.

    A variational autoencoder whose decoder is the generator of a GAN [1]_. The encoder gives
    :math:`q(z | x) = N(\mu(x), diag(\sigma^2(x)))`; :math:`z` is drawn from it, :math:`z_p` from
    :math:`N(0, I)`; :math:`D` is the discriminator and :math:`D_l` the values of its hidden layer
    :math:`l`, thought to be Gaussian of variance 1. With

    .. math::

        L_{prior} &= KL(q(z | x) \| N(0, I)), \quad
        L_{recon} = \frac{1}{2} \| D_l(x) - D_l(Dec(z)) \|^2, \\
        L_{GAN} &= \log D(x)
            + \frac{1}{2} \log (1 - D(Dec(z))) + \frac{1}{2} \log (1 - D(Dec(z_p))),

    the encoder descends :math:`L_{prior} + L_{recon}`, the decoder
    :math:`\gamma L_{recon} - \log D(Dec(z))/2 - \log D(Dec(z_p))/2`, and the discriminator
    :math:`-L_{GAN}`. So the discriminator does not make its features easier to reconstruct, and
    the encoder is not led by what looks real.

    Parameters
    ----------
    n_latent : int, default=32
        Values of :math:`z`. Paper: 128 and more (released code), for larger images.
    gamma : float, default=0.1
        Weight of the reconstruction for the decoder: larger values make items more alike to the
        given ones, and less real. Paper: 0.000001 to 0.00005 (released code), of sums over more
        features.
    layer : int, optional
        Hidden layer of the discriminator, from 1, whose values are compared. By default the last.
    margin : float, optional
        Width of the gates: the discriminator stands still while a mean of :math:`-\log D(x)` or
        of :math:`-\log (1 - D(Dec(z)))` is below `equilibrium` less this, the decoder while one
        is above `equilibrium` plus this, and neither if that would be both. By default there are
        no gates. Paper: 0.35 (released code).
    equilibrium : float, default=0.68
        Centre of the gates, in nats. Paper: 0.68 (released code).
    width : int, default=32
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer.
    depth : int, default=2
        Hidden layers of each network.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_steps : int, default=3000
        Steps of the three networks.
    batch_size : int, default=64
        Items a step, at least 2. Paper: 64 (released code).
    lr : float, default=0.0003
        Step size of Adam. Paper: RMSProp.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the networks, the batches and the draws.

    Attributes
    ----------
    networks_ : dict of str to ndarray
        Parameters of the encoder, its variances, the decoder and the discriminator.
    embedding_ : dict of str to ndarray, float32
        Layers of the encoder.
    samples_ : ndarray of shape (64, ...)
        Items made at the end of ``fit``.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Per step, means over the batch: ``"divergence"`` and ``"reconstruction"``,
        :math:`L_{prior}` and :math:`L_{recon}`; ``"generator"`` and ``"discriminator"``, what the
        decoder and the discriminator descend of the game.
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
    Differences from the paper: 1. the decoder descends :math:`-\log D` in place of
    :math:`\log (1 - D)`, whose gradient vanishes where :math:`D` is near 0; 2. smaller networks,
    Adam in place of RMSProp, no decay of step sizes; 3. logarithms are of exact probabilities,
    where the released code adds 0.001.

    ``sample`` gives :math:`Dec(z_p)`, ``reconstruct`` :math:`Dec(\mu(x))`, ``embed``
    :math:`\mu(x)`.

    A step takes O(batch_size) passes through all networks.

    References
    ----------
    .. [1] A. B. L. Larsen, S. K. Sonderby, H. Larochelle and O. Winther, 2016, "Autoencoding
       beyond pixels using a learned similarity metric", ICML.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> model = VAEGAN(2, n_steps=20, width=4, random_state=0).fit(X)
    >>> model.embed(X).shape, model.reconstruct(X).shape
    ((100, 2), (100, 4))
    """

    def __init__(
        self,
        n_latent: int = 32,
        *,
        gamma: float = 0.1,
        layer: int | None = None,
        margin: float | None = None,
        equilibrium: float = 0.68,
        width: int = 32,
        depth: int = 2,
        image_shape: tuple[int, ...] | None = None,
        n_steps: int = 3000,
        batch_size: int = 64,
        lr: float = 0.0003,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_latent = n_latent
        self.gamma = gamma
        self.layer = layer
        self.margin = margin
        self.equilibrium = equilibrium
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
        for name in ("n_latent", "width", "depth", "n_steps"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        check_scalar(self.gamma, "gamma", Real, min_val=0)
        check_scalar(self.equilibrium, "equilibrium", Real, min_val=0)
        if self.layer is not None:
            check_scalar(self.layer, "layer", Integral, min_val=1, max_val=self.depth)
        if self.margin is not None:
            check_scalar(self.margin, "margin", Real, min_val=0)
        check_scalar(self.lr, "lr", Real, min_val=0, include_boundaries="neither")

    def _build(self) -> nn.ModuleDict:
        shape, width, depth = self._tensor_shape, self.width, self.depth
        encoder = make_encoder(shape, self.n_latent, width=width, depth=depth)
        n_features = cast(nn.Linear, encoder[-1]).in_features
        networks = nn.ModuleDict(
            {
                "encoder": encoder,
                "log_variance": nn.Linear(n_features, self.n_latent),
                "decoder": make_generator(shape, self.n_latent, width=width, depth=depth),
                "discriminator": make_encoder(shape, 1, width=width, depth=depth),
            }
        )
        if len(shape) == 3:
            start_as_dcgan(networks)
        return networks

    def _train(
        self, networks: nn.ModuleDict, data: Tensor, given: Tensor | None, workers: Workers
    ) -> Training:
        encoders = nn.ModuleList([networks["encoder"], networks["log_variance"]])
        decoder, D = networks["decoder"], networks["discriminator"]
        optimisers = {
            name: torch.optim.Adam(network.parameters(), self.lr, betas=(0.5, 0.999))
            for name, network in (("encoder", encoders), ("decoder", decoder), ("discriminator", D))
        }
        training = self._training(networks, optimisers, workers, data, given)
        n_items = workers.share(min(self.batch_size, len(data)))
        layer = self.layer or self.depth
        for _ in training.steps(self.n_steps, "VAEGAN"):
            rows = torch.randint(len(data), (n_items,), device=data.device)
            x = data.index_select(0, rows)
            losses = vaegan_losses(networks, x, layer)
            for optimiser in optimisers.values():
                optimiser.zero_grad()
            (losses.divergence + losses.reconstruction).backward()
            for parameter in decoder.parameters():  # the encoder's share has the weight 1
                assert parameter.grad is not None
                parameter.grad *= self.gamma
            losses.generator.backward()
            losses.discriminator.backward()
            workers.average_gradients(encoders, decoder, D)
            optimisers["encoder"].step()
            for name in self._moving(losses.costs, workers):
                optimisers[name].step()
            training.record(
                divergence=losses.divergence,
                reconstruction=losses.reconstruction,
                generator=losses.generator,
                discriminator=losses.discriminator,
            )
        return training

    def _moving(self, costs: Tensor, workers: Workers) -> Iterator[str]:
        """Say which sides of the game take this step."""
        if self.margin is None:
            yield from ("decoder", "discriminator")
            return
        shared = nn.Module()  # all processes must decide alike
        shared.register_buffer("costs", costs.detach())
        workers.end(shared)
        low, high = self.equilibrium - self.margin, self.equilibrium + self.margin
        least, most = (float(cost) for cost in torch.aminmax(cast(Tensor, shared.costs)))
        if most <= high or least < low:
            yield "decoder"
        if least >= low or most > high:
            yield "discriminator"


class Losses(NamedTuple):
    r"""The losses of a step.

    Parameters
    ----------
    divergence : Tensor of shape (), float32
        :math:`L_{prior}`.
    reconstruction : Tensor of shape (), float32
        :math:`L_{recon}`; gives the discriminator no gradient.
    generator : Tensor of shape (), float32
        What the decoder descends of the game; gives the others no gradient.
    discriminator : Tensor of shape (), float32
        :math:`-L_{GAN}`; gives the others no gradient.
    costs : Tensor of shape (2,), float32
        Means of :math:`-\log D(x)`, and of :math:`-\log (1 - D)` of both kinds of made items.
    """

    divergence: Tensor
    reconstruction: Tensor
    generator: Tensor
    discriminator: Tensor
    costs: Tensor


def vaegan_losses(networks: nn.ModuleDict, x: Tensor, layer: int) -> Losses:
    """Compute the losses of a step, each with gradients for whom it is meant only.

    Parameters
    ----------
    networks : nn.ModuleDict
        ``"encoder"`` and ``"log_variance"`` beside its last layer, ``"decoder"``,
        ``"discriminator"``.
    x : Tensor of shape (n, ...), float32
        Scaled items.
    layer : int
        Hidden layer of the discriminator whose values are compared, from 1.

    Returns
    -------
    Losses
        Means over the items.
    """
    decoder, D = networks["decoder"], cast(nn.Sequential, networks["discriminator"])
    mean, log_variance = gaussian_posterior(networks, x)
    z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
    remade = bound(decoder(z))
    made = bound(decoder(torch.cat([z.detach(), torch.randn_like(z)])))
    D.requires_grad_(False)
    features = hidden_layer(D, layer)
    reconstruction = feature_error(features(x), features(remade))
    generator = softplus(-D(made)).mean()
    D.requires_grad_(True)
    costs = torch.stack([softplus(-D(x)).mean(), softplus(D(made.detach())).mean()])
    return Losses(
        gaussian_divergence(mean, log_variance).mean(),
        reconstruction.mean(),
        generator,
        costs.sum(),
        costs,
    )


def feature_error(real: Tensor, remade: Tensor) -> Tensor:
    r"""Compute :math:`\frac{1}{2} \| D_l(x) - D_l(Dec(z)) \|^2`.

    Parameters
    ----------
    real : Tensor of shape (n, ...), float32
        Features of items.
    remade : Tensor of shape (n, ...), float32
        Features of their reconstructions.

    Returns
    -------
    Tensor of shape (n,), float32
        Errors.
    """
    return (real - remade).square().flatten(1).sum(dim=1) / 2


def hidden_layer(network: nn.Sequential, layer: int) -> nn.Sequential:
    """Give a network up to a hidden layer, its activation included.

    Parameters
    ----------
    network : nn.Sequential
        Network of :func:`~hashlearn.generative.networks.make_encoder`.
    layer : int
        Hidden layer, from 1.

    Returns
    -------
    nn.Sequential
        The part, of the same parameters.
    """
    ends = [place for place, part in enumerate(network) if isinstance(part, nn.LeakyReLU)]
    return cast(nn.Sequential, network[: ends[layer - 1] + 1])
