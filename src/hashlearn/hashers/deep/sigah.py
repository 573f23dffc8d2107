"""SiGAH: sparsity-induced generative adversarial hashing."""

import math
from collections.abc import Callable
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_scalar
from torch import Tensor, nn

from hashlearn._training import (
    count_held_back,
    endless_batches,
    find_device,
    is_check,
    one_thread,
    progress,
    seeded,
    squared_distances,
)
from hashlearn.hashers.base import FloatArray, LinearHasher
from hashlearn.hashers.decoder import Decoder
from hashlearn.hashers.deep._linear import Coordinates, start_functions
from hashlearn.linear import linear_values

Binarisation = Literal["stochastic", "sign", "tanh"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": lambda x: nn.functional.leaky_relu(x, 0.2),
    "relu": nn.functional.relu,
    "silu": nn.functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
_MEASURED = 1024
"""Vectors by which the bandwidth and the margin are measured."""


class SiGAH(Decoder, LinearHasher):
    r"""Train linear hash functions against a generator and an energy discriminator.

    A code should say enough about its vector to draw the vector again. The code :math:`b` of
    :math:`x` goes through a sparse generator :math:`G` and a fixed Gaussian matrix :math:`A`, the
    dictionary of compressed sensing, and :math:`\tilde x = A G(b)` must resemble :math:`x`. A
    discriminator, an auto-encoder whose reconstruction error is the energy
    :math:`D(x) = \|Dec(Enc(x)) - x\|^2`, gives high energy to synthetic vectors unless they look
    real. Encoder and generator minimise, over each batch [1]_,

    .. math::

        \|x - A G(b)\|^2 + \lambda_1 \|G(b)\|_1 + \lambda_2 L_{graph} + \lambda_3 D(A G(b))
        + \lambda_4 L_{entropy} + \lambda_5 L_{orth},

        L_{graph} = \frac{1}{n^2} \sum_{ij} s_{ij} \|v_i - v_j\|^2,
        s_{ij} = \exp(-\|x_i - x_j\|^2 / 2 \sigma^2),

    in turn with the discriminator, which minimises :math:`D(x) + [margin - D(A G(b))]_+`.
    Here :math:`v = \tanh(u)`, :math:`u = W^T x + c`, are the relaxed codes, and the bits :math:`b`
    are drawn by them: :math:`b_k = 1` with probability :math:`p_k = (1 + v_k) / 2`, else -1. The
    gradient of :math:`b` is that of :math:`v`. The bits of a vector are in the end
    :math:`sgn(u)`. :math:`G` is one layer with a LeakyReLU. All terms are means over the batch, for
    data that is centred and scaled to a mean squared norm of 1. The last two are additions of ours,

    .. math::

        L_{entropy} = \frac{1}{r} \sum_k \log 2 + p_k \log p_k + (1 - p_k) \log (1 - p_k), \qquad
        L_{orth} = \frac{1}{r} \sum_{k \ne l} \cos^2(w_k, w_l):

    what a bit's draw is away from a fair coin, and how far hash functions are from perpendicular.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`, also more than there are features.
    init : str, default="auto"
        Where the hash functions start: ``"random"`` Gaussian ones; a ``"frame"``, random directions
        that cover the space evenly; ``"pca"``, ``"itq"``, or another linear method of the table.
        ``"auto"`` is ITQ up to as many bits as there are features, then a frame. Paper:
        ``"random"``.
    binarisation : {"stochastic", "sign", "tanh"}, default="stochastic"
        What the generator sees: bits drawn as above; the signs, with the gradient of tanh; or the
        relaxed codes :math:`v` themselves. Paper: ``"tanh"``.
    activation : {"leaky_relu", "relu", "silu", "tanh", "sigmoid"}, default="leaky_relu"
        Non-linearity of the generator. Paper: LeakyReLU (Table 5); the slope, 0.2, is ours.
    generator_width : float, default=2.0
        Width of :math:`G(b)`, and of the Gaussian matrix, over the number of dimensions. Paper: 2
        (Fig. 4).
    generator_depth : int, default=1
        Layers of the generator, all of its width. Paper: 1 (Fig. 8d).
    discriminator_width : float, default=0.25
        Hidden width of the discriminator over the number of dimensions; it is at least 16. The
        paper's is lost.
    n_components : int, default=128
        Principal directions that vectors are reduced to before training, at least as many as bits.
        The paper trains on all features.
    sparsity_weight : float, default=0.001
        :math:`\lambda_1`: larger values give sparser generator outputs.
    graph_weight : float, default=0.001
        :math:`\lambda_2`: larger values pull the codes of near vectors together, and in excess
        make codes collide.
    adversary_weight : float, default=0.01
        :math:`\lambda_3`: larger values ask for more realistic synthetic vectors. With 0 there is
        no discriminator (Table 4 of the paper).
    entropy_weight : float, default=0.1
        :math:`\lambda_4`: larger values keep bits undecided for longer. Paper: 0.
    orthogonality_weight : float, default=0.0
        :math:`\lambda_5`: larger values keep hash functions perpendicular. Paper: 0.
    margin : float, optional
        Energy up to which synthetic vectors are pushed. None stands for half the mean energy of
        the data at the start.
    bandwidth : float, optional
        :math:`\sigma`, in units of the scaled data. None stands for the median distance of
        training vectors.
    n_steps : int, default=3000
        Batches at most, for each player.
    batch_size : int, default=256
        Vectors in a batch :math:`n`.
    lr : float, default=0.01
        Step size of Adam at the start, for both players; it falls to 0 along a cosine.
    patience : int, default=5
        Checks on held-back training vectors, at most 20 in all, that may pass without a lower
        reconstruction error before training stops. A tenth of the training vectors is held back,
        2,048 at most; none where that is fewer than 32, and all steps are taken.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the start, the Gaussian matrix, the networks, what is held back, the batches and
        the bits.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        Hash functions :math:`W^T`, for data as it came: those of the lowest reconstruction error on
        held-back vectors.
    bias_ : ndarray of shape (n_bits,), float32
        Their constants.
    generator_ : dict of str to ndarray, float32
        Layers of the generator from the first on: ``"weights_1"`` of shape (width, n_bits),
        ``"bias_1"`` of shape (width,), ``"weights_2"`` of shape (width, width), ...
    dictionary_ : ndarray of shape (n_features, width), float32
        The fixed matrix :math:`A`, for data as it came: entries are of variance 1 over the number
        of dimensions in training.
    mean_ : ndarray of shape (n_features,), float32
        Mean of the training vectors.
    history_ : dict of str to ndarray of shape (n_taken,), float32
        Per step that was taken: ``"reconstruction"``, ``"sparsity"``, ``"graph"``, ``"entropy"``,
        ``"orthogonality"``, ``"real_energy"`` and ``"synthetic_energy"``, unweighted, 0 where the
        weight is 0; and ``"held_back"``, the lowest reconstruction error of held-back vectors so
        far, if any are held back.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    The paper's numbers for all weights, the margin, the bandwidth, the hidden width, the step size
    and the batch are lost in its public copies. The defaults were chosen on queries held out of
    MNIST's training images. Differences from the paper:

    1. Start from ITQ, not at random, which gains three points of mean average precision on MNIST.
    2. The generator sees bits that are drawn, as the stochastic neuron of SGH does (Dai et al.
       2017), with the gradient of tanh. The paper relaxes them.
    3. The start is rescaled so that the mean square of :math:`u` is 1, where tanh is neither linear
       nor flat; the generator starts small, so that its first output has the data's norm.
    4. The hash functions have constants.
    5. Training is in principal coordinates, and so is the Gaussian matrix: turned, it is Gaussian
       again. Only what leading directions leave out is not drawn.
    6. :math:`\lambda_4` and :math:`\lambda_5`.

    Fit takes O(n_steps n (p m + p h + n (p + r))) for widths m and h in p dimensions, besides the
    principal directions. Encoding a vector takes O(d r).

    References
    ----------
    .. [1] H. Liu et al., 2023, "Sparsity-induced generative adversarial hashing", arXiv 2306.06928.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = SiGAH(n_bits=4, n_steps=40, random_state=0).fit(X)
    >>> hasher.reconstruct(hasher.encode(X)).shape
    (100, 8)
    """

    generator_: dict[str, FloatArray]
    dictionary_: FloatArray
    mean_: FloatArray
    history_: dict[str, FloatArray]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        init: str = "auto",
        binarisation: Binarisation = "stochastic",
        activation: Literal["leaky_relu", "relu", "silu", "tanh", "sigmoid"] = "leaky_relu",
        generator_width: float = 2.0,
        generator_depth: int = 1,
        discriminator_width: float = 0.25,
        n_components: int = 128,
        sparsity_weight: float = 1e-3,
        graph_weight: float = 1e-3,
        adversary_weight: float = 1e-2,
        entropy_weight: float = 0.1,
        orthogonality_weight: float = 0.0,
        margin: float | None = None,
        bandwidth: float | None = None,
        n_steps: int = 3000,
        batch_size: int = 256,
        lr: float = 0.01,
        patience: int = 5,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.init = init
        self.binarisation = binarisation
        self.activation = activation
        self.generator_width = generator_width
        self.generator_depth = generator_depth
        self.discriminator_width = discriminator_width
        self.n_components = n_components
        self.sparsity_weight = sparsity_weight
        self.graph_weight = graph_weight
        self.adversary_weight = adversary_weight
        self.entropy_weight = entropy_weight
        self.orthogonality_weight = orthogonality_weight
        self.margin = margin
        self.bandwidth = bandwidth
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.lr = lr
        self.patience = patience
        self.device = device
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        self._check_parameters()
        device = find_device(self.device)
        coordinates, Z = Coordinates.of(X, max(self.n_components, self.n_bits), rng)
        start = start_functions(self.init, self.n_bits, Z, rng)
        rng.shuffle(Z)
        with seeded(rng, device), one_thread():
            data = torch.from_numpy(Z).to(device)
            encoder, generator, A, discriminator = self._build(*start, device)
            self._train(data, encoder, generator, A, discriminator)
        W, c = (part.detach().cpu().numpy() for part in (encoder.weight, encoder.bias))
        self.weights_, self.bias_ = coordinates.functions(W, c)
        self.mean_ = coordinates.mean.astype(np.float32)
        self.dictionary_ = coordinates.inverse_transform(A.T.cpu().numpy()).T - self.mean_[:, None]
        self.generator_ = {
            f"{name}_{number}": part.detach().cpu().numpy()
            for number, layer in enumerate(generator, 1)
            for name, part in (("weights", layer.weight), ("bias", layer.bias))
        }

    def _build(
        self, W: FloatArray, c: FloatArray, device: torch.device
    ) -> tuple[nn.Linear, list[nn.Linear], Tensor, nn.Sequential]:
        """Make the encoder at its start, the generator, the Gaussian matrix, the discriminator."""
        r, p = W.shape
        m = max(1, round(self.generator_width * p))
        hidden = max(16, round(self.discriminator_width * p))
        encoder = nn.Linear(p, r)
        generator = [nn.Linear(*pair) for pair in pairwise([r, *[m] * self.generator_depth])]
        with torch.no_grad():
            encoder.weight.copy_(torch.from_numpy(W))
            encoder.bias.copy_(torch.from_numpy(c))
            for layer in generator:
                layer.weight.normal_(std=(2 / layer.in_features) ** 0.5)
                layer.bias.zero_()
            generator[-1].weight.mul_(m**-0.5)
        A = torch.randn(p, m) / p**0.5
        discriminator = nn.Sequential(nn.Linear(p, hidden), nn.ReLU(), nn.Linear(hidden, p))
        return (
            encoder.to(device),
            [layer.to(device) for layer in generator],
            A.to(device),
            discriminator.to(device),
        )

    def _train(
        self,
        data: Tensor,
        encoder: nn.Linear,
        generator: list[nn.Linear],
        A: Tensor,
        discriminator: nn.Module,
    ) -> None:
        """Alternate one step of the discriminator and one of encoder and generator, eqs. 20-21."""
        activate = _ACTIVATIONS[self.activation]
        n_held_back = count_held_back(len(data))
        held_back, data = data[:n_held_back], data[n_held_back:]
        margin, bandwidth = self.margin, self.bandwidth
        with torch.no_grad():
            if margin is None:
                margin = 0.5 * float(energy(discriminator, data[:_MEASURED]).mean())
            if bandwidth is None:
                median = squared_distances(data[:_MEASURED]).median()
                bandwidth = float(median.clamp(min=1e-12).sqrt())
        learned = [part for layer in (encoder, *generator) for part in layer.parameters()]
        learner, adversary = (
            torch.optim.Adam(parameters, lr=self.lr, fused=True)
            for parameters in (learned, list(discriminator.parameters()))
        )

        @torch.no_grad()
        def held_back_error() -> float:
            b = draw_codes(torch.tanh(encoder(held_back)), "sign")
            return float(reconstruction_loss(held_back, generate(generator, activate, b) @ A.T))

        kept: list[Tensor] = [*learned]
        lowest, n_worse, history = 0.0, 0, []
        if n_held_back:
            kept, lowest = [part.detach().clone() for part in learned], held_back_error()
        stream = endless_batches(len(data), self.batch_size, data.device)
        for step in progress(self.n_steps, "SiGAH"):
            for player in (learner, adversary):
                player.param_groups[0]["lr"] = (
                    self.lr * (1 + math.cos(math.pi * step / self.n_steps)) / 2
                )
            x = data.index_select(0, next(stream))
            u = encoder(x)
            v = torch.tanh(u)
            g = generate(generator, activate, draw_codes(v, self.binarisation))
            synthetic = g @ A.T
            zero = x.new_zeros(())
            real_energy = synthetic_energy = graph = sparsity = entropy = orthogonality = zero
            if self.adversary_weight:
                energies = energy(discriminator, torch.cat([x, synthetic.detach()]))
                real_energy = energies[: len(x)].mean()
                adversary.zero_grad()
                discriminator_loss(real_energy, energies[len(x) :], margin).backward()
                adversary.step()
                synthetic_energy = energy(discriminator, synthetic).mean()
            if self.sparsity_weight:
                sparsity = sparsity_loss(g)
            if self.graph_weight:
                graph = graph_loss(x, v, bandwidth)
            if self.entropy_weight:
                entropy = entropy_loss(u)
            if self.orthogonality_weight:
                orthogonality = orthogonality_loss(encoder.weight)
            reconstruction = reconstruction_loss(x, synthetic)
            loss = (
                reconstruction
                + self.sparsity_weight * sparsity
                + self.graph_weight * graph
                + self.adversary_weight * synthetic_energy
                + self.entropy_weight * entropy
                + self.orthogonality_weight * orthogonality
            )
            for part, slope in zip(learned, torch.autograd.grad(loss, learned), strict=True):
                part.grad = slope
            learner.step()
            if n_held_back and is_check(step, self.n_steps):
                error = held_back_error()
                n_worse += 1
                if error < lowest:
                    kept, lowest, n_worse = [part.detach().clone() for part in learned], error, 0
            history.append(
                torch.stack(
                    [reconstruction, sparsity, graph, entropy, orthogonality, real_energy,
                     synthetic_energy, zero + lowest]
                ).detach()
            )  # fmt: skip
            if n_worse > self.patience:
                break
        names = (
            "reconstruction", "sparsity", "graph", "entropy", "orthogonality", "real_energy",
            "synthetic_energy", "held_back",
        )  # fmt: skip
        values = torch.stack(history, dim=1).cpu().numpy()
        if not (np.isfinite(values).all() and all(part.isfinite().all() for part in learned)):
            raise ValueError("training diverged to NaN or infinity; use a smaller lr or weights")
        self.history_ = dict(zip(names, values, strict=True))
        if not n_held_back:
            del self.history_["held_back"]
        with torch.no_grad():
            for part, best in zip(learned, kept, strict=True):
                part.copy_(best)

    def _draw(self, bits: FloatArray) -> FloatArray:
        g = 2 * bits - 1
        for number in range(1, self.generator_depth + 1):
            weights, bias = self.generator_[f"weights_{number}"], self.generator_[f"bias_{number}"]
            layer = torch.from_numpy(linear_values(g, weights, bias))
            g = _ACTIVATIONS[self.activation](layer).numpy()
        return linear_values(g, self.dictionary_, self.mean_)

    def _check_parameters(self) -> None:
        if self.binarisation not in get_args(Binarisation):
            allowed = ", ".join(get_args(Binarisation))
            raise ValueError(f"binarisation must be one of {allowed}; got {self.binarisation!r}")
        if self.activation not in _ACTIVATIONS:
            allowed = ", ".join(_ACTIVATIONS)
            raise ValueError(f"activation must be one of {allowed}; got {self.activation!r}")
        for name in ("generator_depth", "n_components", "n_steps"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        check_scalar(self.patience, "patience", Integral, min_val=0)
        for weight in ("sparsity", "graph", "adversary", "entropy", "orthogonality"):
            name = f"{weight}_weight"
            check_scalar(getattr(self, name), name, Real, min_val=0)
        for name in ("lr", "generator_width", "discriminator_width", "margin", "bandwidth"):
            if (value := getattr(self, name)) is not None or name not in ("margin", "bandwidth"):
                check_scalar(value, name, Real, min_val=0, include_boundaries="neither")


def draw_codes(v: Tensor, binarisation: Binarisation = "stochastic") -> Tensor:
    """Make codes of relaxed ones, and let gradients through as if nothing had happened.

    Parameters
    ----------
    v : Tensor of shape (n, r), float32
        Relaxed codes, from -1 to 1.
    binarisation : {"stochastic", "sign", "tanh"}, default="stochastic"
        Bits drawn with the probability (1 + v) / 2 of being 1; the signs, +1 at 0; or the relaxed
        codes as they are.

    Returns
    -------
    Tensor of shape (n, r), float32
        Codes -1/+1, or relaxed ones.
    """
    if binarisation == "tanh":
        return v
    threshold = 2 * torch.rand_like(v) - 1 if binarisation == "stochastic" else 0.0
    return v + (torch.where(v >= threshold, 1.0, -1.0) - v).detach()


def generate(generator: list[nn.Linear], activate: Callable[[Tensor], Tensor], b: Tensor) -> Tensor:
    """Compute the outputs of the generator.

    Parameters
    ----------
    generator : list of Linear
        Its layers.
    activate : callable
        Its non-linearity, after each layer.
    b : Tensor of shape (n, r), float32
        Codes.

    Returns
    -------
    Tensor of shape (n, m), float32
        Outputs.
    """
    for layer in generator:
        b = activate(layer(b))
    return b


def energy(discriminator: nn.Module, x: Tensor) -> Tensor:
    """Compute the energy of vectors: their squared error through the auto-encoder, eq. 14.

    Parameters
    ----------
    discriminator : Module
        Auto-encoder from (n, d) to (n, d).
    x : Tensor of shape (n, d), float32
        Vectors.

    Returns
    -------
    Tensor of shape (n,), float32
        Energies.
    """
    error: Tensor = discriminator(x) - x
    return error.square().sum(dim=1)


def discriminator_loss(real_energy: Tensor, synthetic_energy: Tensor, margin: float) -> Tensor:
    """Compute what the discriminator minimises, eq. 16: low energy for real vectors only.

    Parameters
    ----------
    real_energy : Tensor of shape (n,) or (), float32
        Energies of real vectors.
    synthetic_energy : Tensor of shape (n,), float32
        Energies of synthetic vectors.
    margin : float
        Energy from which synthetic vectors no longer count.

    Returns
    -------
    Tensor of shape (), float32
        Mean of the real energies and of what the synthetic ones lack to the margin.
    """
    return real_energy.mean() + (margin - synthetic_energy).clamp(min=0).mean()


def reconstruction_loss(x: Tensor, synthetic: Tensor) -> Tensor:
    """Compute the mean squared distance of synthetic vectors from the real ones, eq. 11.

    Parameters
    ----------
    x : Tensor of shape (n, d), float32
        Vectors.
    synthetic : Tensor of shape (n, d), float32
        What was drawn from their codes.

    Returns
    -------
    Tensor of shape (), float32
        Mean over the rows of the squared norm of the difference.
    """
    return (x - synthetic).square().sum(dim=1).mean()


def sparsity_loss(g: Tensor) -> Tensor:
    """Compute the mean L1 norm of the generator's outputs, eq. 13.

    Parameters
    ----------
    g : Tensor of shape (n, m), float32
        Outputs of the generator.

    Returns
    -------
    Tensor of shape (), float32
        Mean over the rows of the sum of absolute values.
    """
    return g.abs().sum(dim=1).mean()


def graph_loss(x: Tensor, v: Tensor, bandwidth: float) -> Tensor:
    """Compute how far the relaxed codes of near vectors lie apart, eq. 17.

    Parameters
    ----------
    x : Tensor of shape (n, d), float32
        Vectors of the batch.
    v : Tensor of shape (n, r), float32
        Their relaxed codes.
    bandwidth : float
        Width of the Gaussian similarity.

    Returns
    -------
    Tensor of shape (), float32
        Mean over all pairs of similarity times squared distance of the codes.
    """
    S = torch.exp(squared_distances(x).div_(-2 * bandwidth**2))
    # sum of s_ij |v_i - v_j|^2 = 2 sum_i s_i |v_i|^2 - 2 tr(V^T S V), with s the sums of rows
    return 2 * (v * (S.sum(dim=1, keepdim=True) * v - S @ v)).sum() / len(x) ** 2


def entropy_loss(u: Tensor) -> Tensor:
    """Compute how far the draws of bits are from those of fair coins.

    Parameters
    ----------
    u : Tensor of shape (n, r), float32
        Values of the hash functions: a bit is 1 with the probability (1 + tanh(u)) / 2.

    Returns
    -------
    Tensor of shape (), float32
        Mean over bits and rows of the divergence from a fair coin, in nats, from 0 to log 2.
    """
    log_p, log_q = nn.functional.logsigmoid(2 * u), nn.functional.logsigmoid(-2 * u)
    return math.log(2) + (log_p.exp() * log_p + log_q.exp() * log_q).mean()


def orthogonality_loss(W: Tensor) -> Tensor:
    """Compute how far hash functions are from perpendicular.

    Parameters
    ----------
    W : Tensor of shape (r, p), float32
        One function a row.

    Returns
    -------
    Tensor of shape (), float32
        Sum of the squared cosines of all pairs of rows, each pair twice, over r.
    """
    unit = nn.functional.normalize(W)
    total: Tensor = (
        (unit @ unit.T).square().sum() - unit.square().sum(dim=1).square().sum()
    ) / len(W)
    return total
