"""SiGAH: sparsity-induced generative adversarial hashing."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from hashlearn.codes import unpack_bits
from hashlearn.hashers import get_method
from hashlearn.hashers.base import FloatArray, LinearHasher
from hashlearn.hashers.deep._torch import batches, find_device, progress, seeded

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": lambda x: nn.functional.leaky_relu(x, 0.2),
    "relu": nn.functional.relu,
    "silu": nn.functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class SiGAH(LinearHasher):
    r"""Train linear hash functions against a generator and an energy discriminator.

    A code should say enough about its vector to draw the vector again. The code :math:`b` of
    :math:`x` goes through a sparse generator :math:`G` and a fixed Gaussian matrix :math:`A`, the
    dictionary of compressed sensing, and :math:`\tilde x = A G(b)` must resemble :math:`x`. A
    discriminator, an auto-encoder whose reconstruction error is the energy
    :math:`D(x) = \|Dec(Enc(x)) - x\|^2`, gives high energy to synthetic vectors unless they look
    real. Encoder and generator minimise, over each batch [1]_,

    .. math::

        \|x - A G(b)\|^2 + \lambda_1 \|G(b)\|_1 + \lambda_2 L_{graph} + \lambda_3 D(A G(b)),

        L_{graph} = \frac{1}{n^2} \sum_{ij} s_{ij} \|v_i - v_j\|^2,
        s_{ij} = \exp(-\|x_i - x_j\|^2 / 2 \sigma^2),

    in turn with the discriminator, which minimises :math:`D(x) + [margin - D(A G(b))]_+`.
    Here :math:`v = \tanh(W^T x)` are the relaxed codes and :math:`b = sgn(v)`; the gradient of
    :math:`b` is that of :math:`v`. :math:`G` is one layer with a LeakyReLU. All terms are means
    over the batch, for data that is centred and scaled to a mean squared norm of 1.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code.
    init : str, default="itq"
        Method whose hash functions :math:`W` starts from, a linear one of the table. Paper: random
        Gaussian, which is ``"lsh"``; it allows more bits than features, which ``"itq"`` does not.
    binarisation : {"sign", "tanh"}, default="sign"
        Whether the generator sees the signs, with the gradient of tanh, or the relaxed codes
        :math:`v` themselves. Paper: ``"tanh"``.
    activation : {"leaky_relu", "relu", "silu", "tanh", "sigmoid"}, default="leaky_relu"
        Non-linearity of the generator. Paper: LeakyReLU (Table 5); the slope, 0.2, is ours.
    generator_width : int, optional
        Width of :math:`G(b)` and of the Gaussian matrix. Paper: twice the number of features, which
        None stands for.
    discriminator_width : int, optional
        Hidden width of the discriminator. None stands for a quarter of the number of features, at
        least 16; the paper's is lost.
    sparsity_weight : float, default=0.001
        :math:`\lambda_1`: larger values give sparser generator outputs.
    graph_weight : float, default=0.001
        :math:`\lambda_2`: larger values pull the codes of near vectors together, and in excess
        make codes collide.
    adversary_weight : float, default=0.01
        :math:`\lambda_3`: larger values ask for more realistic synthetic vectors. With 0 there is
        no discriminator (Table 4 of the paper).
    margin : float, optional
        Energy up to which synthetic vectors are pushed. None stands for half the mean energy of
        the data at the start.
    bandwidth : float, optional
        :math:`\sigma`, in units of the scaled data. None stands for the median distance in the
        batch.
    n_epochs : int, default=15
        Passes over the training set.
    batch_size : int, default=256
        Vectors a step.
    lr : float, default=0.001
        Step size of Adam, for both players.
    weight_decay : float, default=1e-05
        L2 penalty of Adam, for both players.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the start, the Gaussian matrix, the networks and the batches.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        Hash functions :math:`W^T`, for data as it came.
    bias_ : ndarray of shape (n_bits,), float32
        Their constants.
    generator_weights_ : ndarray of shape (generator_width, n_bits), float32
        Layer of the generator.
    generator_bias_ : ndarray of shape (generator_width,), float32
        Its constants.
    gaussian_ : ndarray of shape (n_features, generator_width), float32
        The fixed matrix :math:`A`, entries of variance 1 / n_features.
    mean_ : ndarray of shape (n_features,), float32
        Mean of the training vectors.
    scale_ : float
        Root of their mean squared norm, centred.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Per step: ``"reconstruction"``, ``"sparsity"``, ``"graph"``, ``"real_energy"`` and
        ``"synthetic_energy"``, unweighted; energies are 0 without a discriminator.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    The paper's numbers for all weights, the margin, the bandwidth, the hidden width, the step size
    and the batch are lost in its public copies. The defaults were chosen on queries held out of
    MNIST's training images. Differences from the paper:

    1. Start from ITQ, not at random; from a random start the result stays below ITQ.
    2. The generator sees signs, with the gradient of tanh (a straight-through estimator).
    3. The start is rescaled so that the mean square of :math:`W^T x` is 1, where tanh is neither
       linear nor flat; the generator starts small, so that its first output has the data's norm.
    4. The hash functions have a bias.

    Fit takes O(n_epochs n d (m + h)) for widths m and h, encoding a vector O(d r).

    References
    ----------
    .. [1] H. Liu et al., 2023, "Sparsity-induced generative adversarial hashing", arXiv 2306.06928.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = SiGAH(n_bits=4, n_epochs=2, random_state=0).fit(X)
    >>> hasher.reconstruct(hasher.encode(X)).shape
    (100, 8)
    """

    generator_weights_: FloatArray
    generator_bias_: FloatArray
    gaussian_: FloatArray
    mean_: FloatArray
    scale_: float
    history_: dict[str, FloatArray]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        init: str = "itq",
        binarisation: Literal["sign", "tanh"] = "sign",
        activation: Literal["leaky_relu", "relu", "silu", "tanh", "sigmoid"] = "leaky_relu",
        generator_width: int | None = None,
        discriminator_width: int | None = None,
        sparsity_weight: float = 1e-3,
        graph_weight: float = 1e-3,
        adversary_weight: float = 1e-2,
        margin: float | None = None,
        bandwidth: float | None = None,
        n_epochs: int = 15,
        batch_size: int = 256,
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.init = init
        self.binarisation = binarisation
        self.activation = activation
        self.generator_width = generator_width
        self.discriminator_width = discriminator_width
        self.sparsity_weight = sparsity_weight
        self.graph_weight = graph_weight
        self.adversary_weight = adversary_weight
        self.margin = margin
        self.bandwidth = bandwidth
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
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
        self.mean_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = X - self.mean_
        self.scale_ = float(np.sqrt(np.square(centred).sum(axis=1).mean())) or 1.0
        centred /= np.float32(self.scale_)
        start = self._start(centred, rng)
        with seeded(rng, device):
            encoder, generator, A, discriminator = self._build(start, centred, device)
            data = torch.from_numpy(centred).to(device)
            self._train(data, encoder, generator, A, discriminator)
        W = encoder.weight.detach().cpu().numpy().astype(np.float64) / self.scale_
        self.weights_ = W.astype(np.float32)
        self.bias_ = (encoder.bias.detach().cpu().numpy() - W @ self.mean_).astype(np.float32)
        self.generator_weights_ = generator.weight.detach().cpu().numpy()
        self.generator_bias_ = generator.bias.detach().cpu().numpy()
        self.gaussian_ = A.cpu().numpy()

    def _start(self, X: FloatArray, rng: np.random.RandomState) -> LinearHasher:
        """Fit the method whose hash functions the encoder starts from."""
        try:
            start = get_method(self.init)(self.n_bits, random_state=rng).fit(X)
        except ValueError as error:
            raise ValueError(f"SiGAH cannot start from init={self.init!r}: {error}") from error
        if not isinstance(start, LinearHasher):
            raise ValueError(f"SiGAH starts from a linear method; init={self.init!r} is not linear")
        return start

    def _build(
        self, start: LinearHasher, X: FloatArray, device: torch.device
    ) -> tuple[nn.Linear, nn.Linear, Tensor, nn.Sequential]:
        """Make the encoder at its start, the generator, the Gaussian matrix, the discriminator."""
        d = X.shape[1]
        m = self.generator_width or 2 * d
        width = self.discriminator_width or max(16, d // 4)
        gain = 1 / (float(np.sqrt(np.square(start.project(X)).mean())) or 1.0)
        encoder, generator = nn.Linear(d, self.n_bits), nn.Linear(self.n_bits, m)
        with torch.no_grad():
            encoder.weight.copy_(torch.from_numpy(gain * start.weights_))
            encoder.bias.copy_(torch.from_numpy(gain * start.bias_))
            generator.weight.normal_(std=(2 / (m * self.n_bits)) ** 0.5)
            generator.bias.zero_()
        A = torch.randn(d, m) / d**0.5
        discriminator = nn.Sequential(nn.Linear(d, width), nn.ReLU(), nn.Linear(width, d))
        return encoder.to(device), generator.to(device), A.to(device), discriminator.to(device)

    def _train(
        self,
        data: Tensor,
        encoder: nn.Linear,
        generator: nn.Linear,
        A: Tensor,
        discriminator: nn.Module,
    ) -> None:
        """Alternate one step of the discriminator and one of encoder and generator, eqs. 20-21."""
        learner = self._adam([*encoder.parameters(), *generator.parameters()])
        adversary = self._adam(discriminator.parameters())
        activate = _ACTIVATIONS[self.activation]
        margin = self.margin
        if margin is None:
            with torch.no_grad():
                margin = 0.5 * float(energy(discriminator, data[:4096]).mean())
        steps = []
        for _ in progress(self.n_epochs, "SiGAH"):
            for rows in batches(len(data), self.batch_size, data.device):
                x = data[rows]
                v = torch.tanh(encoder(x))
                b = sign_through(v) if self.binarisation == "sign" else v
                g = activate(generator(b))
                synthetic = g @ A.T
                zero = x.new_zeros(())
                real_energy = synthetic_energy = graph = zero
                if self.adversary_weight:
                    real_energy = energy(discriminator, x).mean()
                    loss = discriminator_loss(
                        real_energy, energy(discriminator, synthetic.detach()), margin
                    )
                    adversary.zero_grad()
                    loss.backward()
                    adversary.step()
                    synthetic_energy = energy(discriminator, synthetic).mean()
                if self.graph_weight:
                    graph = graph_loss(x, v, self.bandwidth)
                reconstruction = reconstruction_loss(x, synthetic)
                sparsity = sparsity_loss(g)
                loss = (
                    reconstruction
                    + self.sparsity_weight * sparsity
                    + self.graph_weight * graph
                    + self.adversary_weight * synthetic_energy
                )
                learner.zero_grad()
                loss.backward()
                learner.step()
                parts = (reconstruction, sparsity, graph, real_energy, synthetic_energy)
                steps.append(torch.stack(parts).detach())
        names = ("reconstruction", "sparsity", "graph", "real_energy", "synthetic_energy")
        values = torch.stack(steps, dim=1).cpu().numpy()
        if not np.isfinite(values).all():
            raise ValueError("training diverged to NaN or infinity; use a smaller lr or weights")
        self.history_ = dict(zip(names, values, strict=True))

    def _adam(self, parameters: Any) -> torch.optim.Adam:
        return torch.optim.Adam(parameters, lr=self.lr, weight_decay=self.weight_decay)

    def reconstruct(self, codes: ArrayLike) -> FloatArray:
        """Draw the vectors that codes stand for.

        Parameters
        ----------
        codes : array-like of shape (n, ceil(n_bits / 8)), uint8
            Packed codes.

        Returns
        -------
        ndarray of shape (n, n_features), float32
            Synthetic vectors, on the scale of the training data.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the hasher is not fitted.
        TypeError
            If `codes` is not uint8.
        ValueError
            If `codes` are of another length.
        """
        check_is_fitted(self)
        b = 2 * unpack_bits(codes, self.n_bits).astype(np.float32) - 1
        layer = b @ self.generator_weights_.T + self.generator_bias_
        g = _ACTIVATIONS[self.activation](torch.from_numpy(layer)).numpy()
        return np.asarray(g @ self.gaussian_.T * self.scale_ + self.mean_, dtype=np.float32)

    def _check_parameters(self) -> None:
        if self.binarisation not in ("sign", "tanh"):
            raise ValueError(f'binarisation must be "sign" or "tanh", got {self.binarisation!r}')
        if self.activation not in _ACTIVATIONS:
            allowed = ", ".join(_ACTIVATIONS)
            raise ValueError(f"activation must be one of {allowed}; got {self.activation!r}")
        for name in ("generator_width", "discriminator_width"):
            if (value := getattr(self, name)) is not None:
                check_scalar(value, name, Integral, min_val=1)
        check_scalar(self.n_epochs, "n_epochs", Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        for name in ("sparsity_weight", "graph_weight", "adversary_weight", "weight_decay"):
            check_scalar(getattr(self, name), name, Real, min_val=0)
        for name in ("lr", "margin", "bandwidth"):
            if (value := getattr(self, name)) is not None or name == "lr":
                check_scalar(value, name, Real, min_val=0, include_boundaries="neither")


def sign_through(v: Tensor) -> Tensor:
    """Take the sign, +1 at 0, and let gradients through as if nothing had happened.

    Parameters
    ----------
    v : Tensor of shape (n, r), float32
        Relaxed codes.

    Returns
    -------
    Tensor of shape (n, r), float32
        Codes -1/+1.
    """
    return v + (torch.where(v >= 0, 1.0, -1.0) - v).detach()


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


def graph_loss(x: Tensor, v: Tensor, bandwidth: float | None = None) -> Tensor:
    """Compute how far the relaxed codes of near vectors lie apart, eq. 17.

    Parameters
    ----------
    x : Tensor of shape (n, d), float32
        Vectors of the batch.
    v : Tensor of shape (n, r), float32
        Their relaxed codes.
    bandwidth : float, optional
        Width of the Gaussian similarity; None stands for the median distance in the batch.

    Returns
    -------
    Tensor of shape (), float32
        Mean over all pairs of similarity times squared distance of the codes.
    """
    distances = squared_distances(x)
    width = distances.median().clamp(min=1e-12) if bandwidth is None else bandwidth**2
    similarity = torch.exp(-distances / (2 * width))
    return (similarity * squared_distances(v)).mean()


def squared_distances(x: Tensor) -> Tensor:
    """Compute the squared Euclidean distance of every pair of rows.

    Parameters
    ----------
    x : Tensor of shape (n, d), float32
        Vectors.

    Returns
    -------
    Tensor of shape (n, n), float32
        Squared distances, never below 0.
    """
    norms = x.square().sum(dim=1)
    return (norms[:, None] + norms[None, :] - 2 * x @ x.T).clamp(min=0)
