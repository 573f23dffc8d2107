"""AVB: adversarial variational Bayes."""

from itertools import pairwise
from math import log, pi
from numbers import Integral, Real
from typing import Any, cast

import torch
from sklearn.utils import check_scalar
from torch import Tensor, nn
from torch.nn.functional import elu, softplus

from hashlearn._training import Training, Workers
from hashlearn.generative.latent import LatentModel, Likelihood, LikelihoodName, likelihood_of
from hashlearn.generative.networks import Shape, make_encoder, make_generator

_LEAST_VARIANCE = 1e-4
_FEATURES = 64
"""Values that T makes of an item before it sees latent ones."""

_NOISE = 16
"""Values of the noise of each function of the posterior's basis."""

_SETTLING_DRAWS, _AT_A_TIME = 50, 1000
"""Batches of draws, and draws of a batch, that the basis is normalised by in the end."""

_UNITS = 64
"""Of a hidden layer of these functions."""


class AVB(LatentModel):
    r"""Encode items to distributions of any form, whose divergence a discriminator learns.

    As in a variational autoencoder, the evidence lower bound is maximised,

    .. math:: E_x E_{q(z | x)} [\log p(x | z)] - E_x KL(q(z | x) \| p(z)), \quad p(z) = N(0, I),

    but :math:`q(z | x)` is a black box: what a network :math:`z(x, \epsilon)` makes of noise
    :math:`\epsilon \sim N(0, I)`. Its density is not known. A discriminator :math:`T(x, z)` learns
    to tell its draws from those of the prior [1]_,

    .. math:: \max_T E_x E_q \log \sigma(T(x, z)) + E_x E_p \log (1 - \sigma(T(x, z))),

    and the best one is :math:`T^* = \log q(z | x) - \log p(z)`, whose mean over :math:`q` is the
    divergence. The gradient of that mean by the parameters of :math:`q` goes by way of :math:`z`
    alone: :math:`T^*` depends on :math:`q` too, but :math:`E_q` of that part is 0.

    *Adaptive contrast* tells draws from :math:`r(z | x) = N(\mu(x), diag(\sigma^2(x)))` with the
    mean and variance of :math:`q` instead, which lies nearer. With
    :math:`\tilde z = (z - \mu) / \sigma`, the discriminator sees :math:`(x, \tilde z)` and
    :math:`N(0, I)`, and

    .. math:: KL(q \| p) = E_q [T^*(x, \tilde z) + \log r(z | x) - \log p(z)].

    The black box is :math:`z = z_0(x) + \sum_i a_i(x) v_i(\epsilon_i)`, element by element, as in
    the released code: :math:`\mu = z_0` and :math:`\sigma^2 = \sum_i a_i^2`.

    Parameters
    ----------
    n_latent : int, default=32
        Values of :math:`z`. Paper: 8 and 32 for MNIST.
    adaptive_contrast : bool, default=True
        Whether draws are told from :math:`r(z | x)` instead of the prior.
    n_basis : int, default=8
        Functions :math:`v_i`. Released code: 8 and 32.
    n_contrast_steps : int, default=1
        Steps of :math:`T` for one of the model.
    likelihood : {"auto", "bernoulli", "gaussian"}, default="auto"
        :math:`p(x | z)`: of pixels as probabilities, or Gaussian with one learned variance.
        ``"auto"``: the former for images, the latter for vectors.
    width : int, default=32
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer.
    depth : int, default=2
        Hidden layers of each network.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_steps : int, default=3000
        Steps of the encoder and the decoder.
    batch_size : int, default=128
        Items a step, at least 2. Paper: 128 (released code).
    lr : float, default=0.001
        Step size of Adam for the encoder and the decoder. Paper: 0.00005 (released code).
    contrast_lr : float, default=0.001
        Step size of Adam for :math:`T`. Paper: 0.0001 (released code).
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the networks, the batches and the draws.

    Attributes
    ----------
    networks_ : dict of str to ndarray
        Parameters of the encoder, the rest of the black box, the decoder, the likelihood and
        :math:`T`.
    embedding_ : dict of str to ndarray, float32
        Layers of :math:`z_0`.
    samples_ : ndarray of shape (64, ...)
        Items made at the end of ``fit``.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Per step: ``"contrast"``, the loss of :math:`T`; means over the batch in nats, of scaled
        items: ``"reconstruction"``, :math:`E_q \log p(x | z)`; ``"divergence"`` as :math:`T`
        tells it; ``"elbo"``, the former less the latter.
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
    Differences from the paper: 1. smaller networks, convolutional for images; 2. each
    :math:`v_i` is normalised over the batch to mean 0 and variance 1, where the released code
    computes its moments: so the mean of :math:`q` is one network, :math:`z_0`; 3. :math:`T` also
    sees the squares of :math:`z`, of which logarithms of ratios of Gaussians are made; 4. step
    sizes ten times as large, for ten times fewer steps.

    A divergence that :math:`T` has not learned yet is told too small, and so the bound of
    ``history_`` may be above the truth.

    ``sample`` and ``reconstruct`` give the means of :math:`p(x | z)`, the latter at the mean of
    :math:`q`, which ``embed`` gives.

    A step takes O(batch_size) passes through all networks, and O(n_contrast_steps batch_size)
    through :math:`T` and the encoder.

    References
    ----------
    .. [1] L. Mescheder, S. Nowozin and A. Geiger, 2017, "Adversarial variational Bayes: unifying
       variational autoencoders and generative adversarial networks", ICML.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> model = AVB(2, n_steps=20, width=4, random_state=0).fit(X)
    >>> model.sample_posterior(X, n_draws=5).shape
    (100, 5, 2)
    """

    def __init__(
        self,
        n_latent: int = 32,
        *,
        adaptive_contrast: bool = True,
        n_basis: int = 8,
        n_contrast_steps: int = 1,
        likelihood: LikelihoodName = "auto",
        width: int = 32,
        depth: int = 2,
        image_shape: tuple[int, ...] | None = None,
        n_steps: int = 3000,
        batch_size: int = 128,
        lr: float = 0.001,
        contrast_lr: float = 0.001,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_latent = n_latent
        self.adaptive_contrast = adaptive_contrast
        self.n_basis = n_basis
        self.n_contrast_steps = n_contrast_steps
        self.likelihood = likelihood
        self.width = width
        self.depth = depth
        self.image_shape = image_shape
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.lr = lr
        self.contrast_lr = contrast_lr
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def _check_parameters(self) -> None:
        if self.likelihood not in ("auto", "bernoulli", "gaussian"):
            raise ValueError(
                f'likelihood must be "auto", "bernoulli" or "gaussian", got {self.likelihood!r}'
            )
        if not isinstance(self.adaptive_contrast, bool):
            raise TypeError(f"adaptive_contrast must be True or False, got "
                            f"{self.adaptive_contrast!r}")  # fmt: skip
        for name in ("n_latent", "n_basis", "n_contrast_steps", "width", "depth", "n_steps"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        for name in ("lr", "contrast_lr"):
            check_scalar(getattr(self, name), name, Real, min_val=0, include_boundaries="neither")

    def _build(self) -> nn.ModuleDict:
        shape, width, depth = self._tensor_shape, self.width, self.depth
        encoder = make_encoder(shape, self.n_latent, width=width, depth=depth)
        last = cast(nn.Linear, encoder[-1])
        nn.init.normal_(last.weight, 0.0, 1e-5)  # at first q is the same for all items
        nn.init.zeros_(last.bias)
        return nn.ModuleDict(
            {
                "encoder": encoder,
                "scales": nn.Linear(last.in_features, self.n_basis * self.n_latent),
                "basis": Basis(self.n_basis, self.n_latent),
                "decoder": make_generator(shape, self.n_latent, width=width, depth=depth),
                "likelihood": Likelihood(likelihood_of(self.likelihood, shape)),
                "contrast": Contrast(shape, self.n_latent, width=width, depth=depth),
            }
        )

    def _train(
        self, networks: nn.ModuleDict, data: Tensor, given: Tensor | None, workers: Workers
    ) -> Training:
        T = networks["contrast"]
        model = nn.ModuleDict({name: part for name, part in networks.items() if part is not T})
        optimisers = {
            "model": torch.optim.Adam(model.parameters(), self.lr, betas=(0.5, 0.999)),
            "contrast": torch.optim.Adam(T.parameters(), self.contrast_lr, betas=(0.5, 0.999)),
        }
        training = self._training(networks, optimisers, workers, data, given)
        n_items = workers.share(min(self.batch_size, len(data)))
        for _ in training.steps(self.n_steps, "AVB"):
            for _ in range(self.n_contrast_steps):
                rows = torch.randint(len(data), (n_items,), device=data.device)
                x = data.index_select(0, rows)
                with torch.no_grad():
                    z, mean, variance = draw(networks, x)
                    z = self._contrasted(z, mean, variance)
                t_loss = contrast_loss(T(x, z), T(x, torch.randn_like(z)))
                optimisers["contrast"].zero_grad()
                t_loss.backward()
                workers.average_gradients(T)
                optimisers["contrast"].step()
            rows = torch.randint(len(data), (n_items,), device=data.device)
            x = data.index_select(0, rows)
            z, mean, variance = draw(networks, x)
            reconstruction = networks["likelihood"](networks["decoder"](z), x).mean()
            divergence = self._divergence(T, x, z, mean, variance).mean()
            optimisers["model"].zero_grad()
            (divergence - reconstruction).backward()
            workers.average_gradients(model)
            optimisers["model"].step()
            training.record(
                contrast=t_loss,
                reconstruction=reconstruction,
                divergence=divergence,
                elbo=reconstruction - divergence,
            )
        cast(Basis, networks["basis"]).settle()
        workers.end(networks["basis"])
        return training

    def _contrasted(self, z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Give what T sees of draws."""
        return standardised(z, mean, variance) if self.adaptive_contrast else z

    def _divergence(
        self, T: nn.Module, x: Tensor, z: Tensor, mean: Tensor, variance: Tensor
    ) -> Tensor:
        """Compute each draw's part of the divergence by T, which it gives no gradient."""
        T.requires_grad_(False)
        told: Tensor = T(x, self._contrasted(z, mean, variance))
        T.requires_grad_(True)
        return told + contrast_to_prior(z, mean, variance) if self.adaptive_contrast else told

    def _draw(self, networks: nn.ModuleDict, data: Tensor) -> Tensor:
        return draw(networks, data)[0]


class Basis(nn.Module):
    r"""The functions :math:`v_i` of noise, dense and normalised over the batch.

    Parameters
    ----------
    n_basis : int
        How many functions.
    n_latent : int
        Values of each.
    """

    def __init__(self, n_basis: int, n_latent: int) -> None:
        super().__init__()
        sizes = (_NOISE, _UNITS, _UNITS, n_latent)
        layers = list(pairwise(sizes))
        self.weights = nn.ParameterList(
            torch.randn(n_basis, inputs, outputs) / inputs**0.5 for inputs, outputs in layers
        )
        self.biases = nn.ParameterList(torch.zeros(n_basis, 1, outputs) for _, outputs in layers)
        self.moments = nn.BatchNorm1d(n_basis * n_latent, affine=False)

    def forward(self, n_draws: int) -> Tensor:
        """Draw values.

        Parameters
        ----------
        n_draws : int
            How many of each function.

        Returns
        -------
        Tensor of shape (n_draws, n_basis, n_latent), float32
            Values, of mean 0 and variance 1.
        """
        first = self.weights[0]
        values = torch.randn(len(first), n_draws, _NOISE, device=first.device)
        for layer, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias, elu(values) if layer else values, weights)
        values = values.transpose(0, 1)
        normalised: Tensor = self.moments(values.flatten(1))
        return normalised.view(values.shape)

    @torch.no_grad()
    def settle(self) -> None:
        """Learn the moments anew: those of the batches are of weights that have changed since."""
        momentum = self.moments.momentum
        self.moments.reset_running_stats()
        self.moments.momentum = None  # the mean of all
        for _ in range(_SETTLING_DRAWS):
            self(_AT_A_TIME)
        self.moments.momentum = momentum


class Contrast(nn.Module):
    """The discriminator T of an item and latent values: dense layers after features of the item.

    Parameters
    ----------
    shape : tuple of int
        Shape of an item as a tensor.
    n_latent : int
        Number of latent values.
    width : int, default=32
        As in :func:`~hashlearn.generative.networks.make_encoder`.
    depth : int, default=2
        Hidden layers, of the features and of the dense part alike.
    """

    def __init__(self, shape: Shape, n_latent: int, *, width: int = 32, depth: int = 2) -> None:
        super().__init__()
        self.features = make_encoder(shape, _FEATURES, width=width, depth=depth, normalize=False)
        joined = (_FEATURES + 2 * n_latent,)
        self.joint = make_encoder(joined, 1, width=width, depth=depth, normalize=False)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Compute T.

        Parameters
        ----------
        x : Tensor of shape (n, ...), float32
            Scaled items.
        z : Tensor of shape (n, n_latent), float32
            Latent values.

        Returns
        -------
        Tensor of shape (n,), float32
            Log odds that the values are of the posterior.
        """
        joined = torch.cat([self.features(x), z, z.square()], dim=1)
        return cast(Tensor, self.joint(joined)).squeeze(1)


def draw(networks: nn.ModuleDict, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Draw :math:`z(x, \epsilon)`, with the moments of its distribution.

    Parameters
    ----------
    networks : nn.ModuleDict
        With ``"encoder"``, whose last layer gives :math:`z_0`, ``"scales"`` beside that layer, and
        ``"basis"``.
    x : Tensor of shape (n, ...), float32
        Scaled items.

    Returns
    -------
    z : Tensor of shape (n, n_latent), float32
        One draw an item.
    mean : Tensor of shape (n, n_latent), float32
        :math:`z_0(x)`.
    variance : Tensor of shape (n, n_latent), float32
        :math:`\sum_i a_i^2(x)`.
    """
    encoder = cast(nn.Sequential, networks["encoder"])
    features = encoder[:-1](x)
    mean, v = encoder[-1](features), networks["basis"](len(x))
    a = elu(networks["scales"](features) - 1).view(v.shape) + 1
    return mean + (a * v).sum(dim=1), mean, a.square().sum(dim=1)


def standardised(z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    r"""Compute :math:`\tilde z`; the moments of q get no gradient, as r stands still.

    Parameters
    ----------
    z : Tensor of shape (n, n_latent), float32
        Draws of q.
    mean : Tensor of shape (n, n_latent), float32
        Its means.
    variance : Tensor of shape (n, n_latent), float32
        Its variances.

    Returns
    -------
    Tensor of shape (n, n_latent), float32
        Values of mean 0 and variance 1.
    """
    return (z - mean.detach()) / torch.sqrt(variance.detach() + _LEAST_VARIANCE)


def contrast_to_prior(z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    r"""Compute :math:`\log r(z | x) - \log p(z)`; r gets no gradient.

    Parameters
    ----------
    z : Tensor of shape (n, n_latent), float32
        Draws of q.
    mean : Tensor of shape (n, n_latent), float32
        Its means.
    variance : Tensor of shape (n, n_latent), float32
        Its variances.

    Returns
    -------
    Tensor of shape (n,), float32
        Logarithms of ratios.
    """
    spread = torch.log(variance.detach() + _LEAST_VARIANCE)
    r = standardised(z, mean, variance).square() + spread + log(2 * pi)
    return (z.square() + log(2 * pi) - r).sum(dim=1) / 2


def contrast_loss(posterior_logits: Tensor, prior_logits: Tensor) -> Tensor:
    r"""Compute :math:`-E_q \log \sigma(T) - E_p \log (1 - \sigma(T))`.

    Parameters
    ----------
    posterior_logits : Tensor of shape (n,), float32
        :math:`T` of draws of q.
    prior_logits : Tensor of shape (m,), float32
        :math:`T` of draws of the prior, or of what q is contrasted with.

    Returns
    -------
    Tensor of shape (), float32
        Loss, in nats.
    """
    return softplus(-posterior_logits).mean() + softplus(prior_logits).mean()
