"""PGH: progressive generative hashing."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from hashlearn._training import (
    Training,
    Workers,
    seeded,
    warn_of_equal_codes,
    warn_of_equal_samples,
)
from hashlearn.codes import pack_bits
from hashlearn.features import make_features
from hashlearn.generative.gan import discriminator_loss, generator_loss
from hashlearn.generative.networks import (
    Shape,
    apply_layers,
    bound,
    export_layers,
    make_encoder,
    make_generator,
    start_as_dcgan,
)
from hashlearn.hashers import get_method
from hashlearn.hashers.base import FloatArray
from hashlearn.hashers.deep._images import ImageHasher, features_of, learn_statistics

Triplets = Literal["both", "generated", "real"]
Positive = Literal["nearest", "own"]

_ADVICE = "try a smaller lr, another start, or more steps of the generator"


class PGH(ImageHasher):
    r"""Improve weak codes round by round, with images that a generator makes of them.

    A round begins with codes :math:`b_i` of the training images, at first those of a simple method.
    A generator learns to make images :math:`G(z | b)` of noise and a code, against a discriminator
    that is given the code too [1]_:

    .. math:: \min_G \max_D E_i [\log D(x_i | b_i) + \log (1 - D(G(z_i | b_i) | b_i))].

    Then a network with relaxed codes :math:`H(x) \in (0, 1)^r` learns from triplets of an image
    :math:`x_i`, an image :math:`\bar x_i` that is made of a code like its own, and an image
    :math:`\bar x_j` made of the code of any other image. It minimises the mean of

    .. math:: \frac1r [\max(0, \gamma r - |H(x_i) - H(\bar x_j)|_1 + |H(x_i) - H(\bar x_i)|_1)
              + \lambda \|H(x) - [H(x) \ge \tfrac12]\|^2 + \mu \|H(x_i) - b_i\|^2],

    the second term for all images. Its codes begin the next round.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code.
    start : str, default="itq"
        Method of the table that gives the first codes; it must learn without labels.
    start_features : str, optional
        Features before it, such as ``"gist"``. None gives it the pixels. Of MNIST's digits, codes
        that start from GIST descriptors end far better. Paper: ``"gist"``.
    triplets : {"both", "generated", "real"}, default="both"
        Whether the second and third image are generated, or real ones of the batch (no generator is
        then trained); ``"both"`` takes the mean over both kinds of triplets. Paper:
        ``"generated"``.
    positive : {"nearest", "own"}, default="nearest"
        Code of :math:`\bar x_i`: the nearest other code in the batch, or :math:`b_i` itself, of
        which there is no other real image. Paper: ``"own"``.
    margin : float, default=0.5
        :math:`\gamma`. Paper: unknown.
    consistency : float, default=1.0
        :math:`\lambda`. Paper: 1, of the sum over the three images.
    anchoring : float, default=0.05
        :math:`\mu`. Without it the rounds drift away from the data; more of it slows them. Paper:
        0.
    n_rounds : int, default=4
        Rounds. Paper: 4.
    generator_steps : int, default=1500
        Steps of generator and discriminator in a round. They go on from the last one's.
    hash_steps : int, default=1400
        Steps of the hash network in a round. It starts anew, and learns the codes for the first
        tenth.
    n_latent : int, default=32
        Values of :math:`z`.
    width : int, default=16
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer.
    depth : int, default=2
        Hidden layers of each network. Images of 32 pixels and more take 3.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    batch_size : int, default=128
        Real images a step of the hash network; half as many for the generator.
    lr : float, default=0.006
        Step size of Adam of the hash network. Large steps, whose noise moves codes, are better.
    generator_lr : float, default=0.0005
        That of generator and discriminator.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the first codes, the networks, the batches and the noise.

    Attributes
    ----------
    layers_ : dict of str to ndarray, float32
        The hash network after the last round.
    layers_by_round_ : dict of str to ndarray, float32
        That of each round: ``"1.0.weights"`` and so on.
    codes_by_round_ : ndarray of shape (n_rounds + 1, n, ceil(n_bits / 8)), uint8
        Packed codes of the training images: the first ones, and those after each round.
    samples_ : ndarray of shape (64, ...), float32
        Images made of the last codes of the first 8 training images, 8 of each, in the units of the
        data; images of whole numbers are such. None where there is no generator.
    history_ : dict of str to ndarray of shape (n_steps_of_its_kind,), float32
        Per step of generator and discriminator ``"discriminator"`` and ``"generator"``, their
        losses; per step of the hash network ``"code"``, the cross-entropy of the codes that it
        learns at first, and then ``"triplet"``, ``"quantization"`` and ``"anchoring"``, the three
        terms without their weights.
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
    Of the paper only the slides are at hand: networks, margin and rates are ours, chosen on images
    held out of MNIST's training part, and :math:`H` has no gradient by :math:`G`.

    Differences from the paper:

    1. An image made of :math:`b_i` itself teaches little: it is so near to :math:`x_i` that codes
       hardly change. With the nearest other code of the batch they do.
    2. The term with :math:`\mu`.
    3. Generator and hash network learn one after the other in a round, not together.

    The generator's share could not be told from none; docs/results.md has the same rounds with real
    images alone.

    Fit takes O(n_rounds (generator_steps + hash_steps) batch_size) passes of small networks, and
    encoding an image one of the hash network.

    References
    ----------
    .. [1] Y. Ma, Y. He, F. Ding, S. Hu, J. Li and X. Liu, 2018, "Progressive generative hashing for
       image retrieval", IJCAI.

    Examples
    --------
    >>> from hashlearn.data import load_dataset
    >>> X = load_dataset("digits").X[:300]
    >>> hasher = PGH(8, n_rounds=2, generator_steps=5, hash_steps=20, random_state=0).fit(X)
    >>> hasher.codes_by_round_.shape
    (3, 300, 1)
    >>> hasher.encode_after(1, X).shape
    (300, 1)
    """

    layers_by_round_: dict[str, FloatArray]
    codes_by_round_: NDArray[np.uint8]
    samples_: NDArray[Any]
    history_: dict[str, FloatArray]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        start: str = "itq",
        start_features: str | None = None,
        triplets: Triplets = "both",
        positive: Positive = "nearest",
        margin: float = 0.5,
        consistency: float = 1.0,
        anchoring: float = 0.05,
        n_rounds: int = 4,
        generator_steps: int = 1500,
        hash_steps: int = 1400,
        n_latent: int = 32,
        width: int = 16,
        depth: int = 2,
        image_shape: tuple[int, ...] | None = None,
        batch_size: int = 128,
        lr: float = 0.006,
        generator_lr: float = 0.0005,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.start = start
        self.start_features = start_features
        self.triplets = triplets
        self.positive = positive
        self.margin = margin
        self.consistency = consistency
        self.anchoring = anchoring
        self.n_rounds = n_rounds
        self.generator_steps = generator_steps
        self.hash_steps = hash_steps
        self.n_latent = n_latent
        self.width = width
        self.depth = depth
        self.image_shape = image_shape
        self.batch_size = batch_size
        self.lr = lr
        self.generator_lr = generator_lr
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def encode_after(self, round_number: int, X: ArrayLike) -> NDArray[np.uint8]:
        """Compute packed codes with the hash network of an earlier round.

        Parameters
        ----------
        round_number : int
            Round, from 1 to `n_rounds`.
        X : array-like of shape (n, ...), numeric
            Items as in ``encode``.

        Returns
        -------
        ndarray of shape (n, ceil(n_bits / 8)), uint8
            Packed codes; of the last round those of ``encode``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the hasher is not fitted.
        ValueError
            If there was no such round, or `X` is not what ``encode`` takes.
        TypeError
            If `round_number` is not an integer.
        """
        check_is_fitted(self)
        check_scalar(round_number, "round_number", Integral, min_val=1, max_val=self.n_rounds)
        prefix = f"{round_number}."
        layers = {
            name.removeprefix(prefix): array
            for name, array in self.layers_by_round_.items()
            if name.startswith(prefix)
        }
        rows = self._scaled(self._check_rows(X, reset=False))
        return pack_bits(apply_layers(layers, rows, self._tensor_shape) >= 0)

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        self._check_parameters()
        weak = self._weak_codes(X, rng)
        self._learn_scale(X)
        workers = Workers(self.device)
        with seeded(rng, workers.device):
            networks = _Networks(self, self._tensor_shape, weak).to(workers.device)
            data = self._tensor(X).to(workers.device)
            self.history_ = self._train(networks, data, workers).history()
            b = networks.codes[-1, :8].float().repeat_interleave(8, dim=0)
            with torch.no_grad():
                samples = networks.make(b) if self.triplets != "real" else data[:0]
        self.samples_ = self._items(samples)
        codes = networks.codes.cpu().numpy()
        self.codes_by_round_ = np.stack([pack_bits(part.astype(bool)) for part in codes])
        self.layers_by_round_ = {
            f"{number}.{name}": array
            for number, network in enumerate(networks.hashes, start=1)
            for name, array in export_layers(
                cast(nn.Sequential, network), self._tensor_shape
            ).items()
        }
        self._keep_network(cast(nn.Sequential, networks.hashes[-1]))
        if len(samples):
            made = samples.flatten(1).cpu().numpy()
            warn_of_equal_samples(made, data[:64].flatten(1).cpu().numpy(), _ADVICE)
        warn_of_equal_codes(codes[-1], _ADVICE)

    def _weak_codes(self, X: FloatArray, rng: np.random.RandomState) -> NDArray[np.uint8]:
        """Compute the first codes, with bits 0 and 1."""
        hasher = get_method(self.start)(self.n_bits, random_state=rng)
        features = features_of(X, self.item_shape_, self.start_features)
        return cast(NDArray[np.uint8], hasher.fit_transform(features))

    def _train(self, networks: "_Networks", data: Tensor, workers: Workers) -> Training:
        """Take the steps of all rounds."""
        G, D = networks.generator, networks.discriminator
        optimisers = {
            name: torch.optim.Adam(network.parameters(), self.generator_lr, betas=(0.5, 0.999))
            for name, network in (("generator", G), ("discriminator", D))
        }
        for number, network in enumerate(networks.hashes):
            optimisers[f"hash{number}"] = torch.optim.Adam(network.parameters(), self.lr)
        training = self._training(networks, optimisers, workers, data)
        generator_steps = 0 if self.triplets == "real" else self.generator_steps
        per_round = generator_steps + self.hash_steps
        n_items = workers.share(min(self.batch_size, len(data)))
        for step in training.steps(self.n_rounds * per_round, "PGH"):
            number, place = divmod(step, per_round)
            is_generating = place < generator_steps
            size = max(2, n_items // 2) if is_generating else n_items
            rows = torch.randint(len(data), (size,), device=data.device)
            x, b = data[rows], networks.codes[number, rows].float()
            if is_generating:
                fake = networks.make(b)
                d_loss = discriminator_loss(networks.judge(x, b), networks.judge(fake.detach(), b))
                _step(optimisers["discriminator"], d_loss, D, workers)
                g_loss = generator_loss(networks.judge(fake, b), "non-saturating")
                _step(optimisers["generator"], g_loss, G, workers)
                training.record(discriminator=d_loss, generator=g_loss)
                continue
            H = cast(nn.Sequential, networks.hashes[number])
            if place - generator_steps < self.hash_steps // 10:
                loss = binary_cross_entropy_with_logits(H(x), b)
                training.record(code=loss)
            else:
                triplet, quantization, anchoring = self._hash_losses(networks, H, x, b)
                loss = triplet + self.consistency * quantization + self.anchoring * anchoring
                training.record(triplet=triplet, quantization=quantization, anchoring=anchoring)
            _step(optimisers[f"hash{number}"], loss, H, workers)
            if place == per_round - 1:
                workers.end(networks)
                learn_statistics(H, data)
                layers = export_layers(H, self._tensor_shape)
                networks.codes[number + 1] = self._bits(layers, data)
        return training

    def _hash_losses(
        self, networks: "_Networks", H: nn.Sequential, x: Tensor, b: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the terms of the objective on a batch."""
        u = torch.sigmoid(H(x))
        others = random_others(len(x), x.device)
        nearest = nearest_others(b)
        triplets, images = [], [u]
        if self.triplets != "generated":
            triplets.append(triplet_loss(u, u[nearest], u[others], self.margin))
        if self.triplets != "real":
            with torch.no_grad():
                made = networks.make(b)
            with statistics_kept(H):
                v = torch.sigmoid(H(made))
            positive = v if self.positive == "own" else v[nearest]
            triplets.append(triplet_loss(u, positive, v[others], self.margin))
            images.append(v)
        return (
            torch.stack(triplets).mean(),
            torch.stack([quantization_loss(part) for part in images]).mean(),
            (u - b).square().mean(),
        )

    def _bits(self, layers: dict[str, FloatArray], data: Tensor) -> Tensor:
        """Compute bits of scaled images, as ``transform`` will."""
        rows = data.permute(0, 2, 3, 1) if data.ndim == 4 else data
        values = apply_layers(layers, rows.reshape(len(data), -1).cpu().numpy(), self._tensor_shape)
        return torch.from_numpy(values >= 0).to(data.device)

    def _check_parameters(self) -> None:
        for name, known in (("triplets", Triplets), ("positive", Positive)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(known))}, got "
                    f"{getattr(self, name)!r}"
                )
        if get_method(self.start).supervised:
            raise ValueError(f"start must be a method that learns without labels, got {self.start}")
        if self.start_features is not None:
            make_features(self.start_features)
        for name in ("n_rounds", "generator_steps", "hash_steps", "n_latent", "width", "depth"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=4)
        for name in ("margin", "consistency", "anchoring"):
            check_scalar(getattr(self, name), name, Real, min_val=0)
        for name in ("lr", "generator_lr"):
            check_scalar(getattr(self, name), name, Real, min_val=0, include_boundaries="neither")


class _Networks(nn.Module):
    """Hold all that is trained, and the codes of every round."""

    codes: Tensor

    def __init__(self, hasher: PGH, shape: Shape, weak: NDArray[np.uint8]) -> None:
        super().__init__()
        width, depth, r = hasher.width, hasher.depth, hasher.n_bits
        self.n_latent = hasher.n_latent
        self.generator = make_generator(shape, self.n_latent + r, width=width, depth=depth)
        self.discriminator = make_encoder(shape, 1 + r, width=width, depth=depth)
        if len(shape) == 3:
            start_as_dcgan(self.generator)
            start_as_dcgan(self.discriminator)
        self.hashes = nn.ModuleList(
            make_encoder(shape, r, width=width, depth=depth) for _ in range(hasher.n_rounds)
        )
        codes = torch.zeros(hasher.n_rounds + 1, *weak.shape, dtype=torch.bool)
        codes[0] = torch.from_numpy(weak != 0)
        self.register_buffer("codes", codes)

    def make(self, b: Tensor) -> Tensor:
        """Make an image of each code."""
        z = torch.randn(len(b), self.n_latent, device=b.device)
        return bound(self.generator(torch.cat([z, 2 * b - 1], dim=1)))

    def judge(self, x: Tensor, b: Tensor) -> Tensor:
        """Compute the log odds that images with these codes are real, by projection."""
        values: Tensor = self.discriminator(x)
        by_code = ((2 * b - 1) * values[:, 1:]).sum(dim=1)
        return values[:, 0] + by_code / math.sqrt(b.shape[1])


def triplet_loss(u: Tensor, near: Tensor, far: Tensor, margin: float) -> Tensor:
    r"""Compute the mean of :math:`\max(0, \gamma r - |u - far|_1 + |u - near|_1) / r`.

    Parameters
    ----------
    u : Tensor of shape (n, r), float32
        Relaxed codes of images.
    near : Tensor of shape (n, r), float32
        Those of images that should have codes near by.
    far : Tensor of shape (n, r), float32
        Those of images that should not.
    margin : float
        :math:`\gamma`.

    Returns
    -------
    Tensor of shape (), float32
        Loss.
    """
    r = u.shape[1]
    distances = (u - near).abs().sum(dim=1) - (u - far).abs().sum(dim=1)
    return relu(margin * r + distances).mean() / r


def quantization_loss(u: Tensor) -> Tensor:
    r"""Compute the mean of :math:`(u - [u \ge \tfrac12])^2`.

    Parameters
    ----------
    u : Tensor of shape (n, r), float32
        Relaxed codes.

    Returns
    -------
    Tensor of shape (), float32
        Loss.
    """
    return (u - (u >= 0.5).float()).square().mean()


def nearest_others(b: Tensor) -> Tensor:
    """Find for each code of a batch the nearest other one; the first of several as near.

    Parameters
    ----------
    b : Tensor of shape (n, r), float32
        Codes, 0 or 1.

    Returns
    -------
    Tensor of shape (n,), int64
        Places in the batch.
    """
    signs = 2 * b - 1
    products = signs @ signs.T
    return products.fill_diagonal_(-torch.inf).argmax(dim=1)


def random_others(n_items: int, device: torch.device) -> Tensor:
    """Draw for each item of a batch any other one.

    Parameters
    ----------
    n_items : int
        Size of the batch, at least 2.
    device : torch.device
        Where to draw.

    Returns
    -------
    Tensor of shape (n_items,), int64
        Places in the batch.
    """
    steps = torch.randint(1, n_items, (n_items,), device=device)
    return (torch.arange(n_items, device=device) + steps) % n_items


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let normalisations use the batch inside the block, and keep their running statistics.

    Images that were made would mix theirs with those of real ones, which are all that is hashed.

    Parameters
    ----------
    network : nn.Module
        Network.

    Yields
    ------
    None
        Nothing.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def _step(
    optimiser: torch.optim.Optimizer, loss: Tensor, network: nn.Module, workers: Workers
) -> None:
    optimiser.zero_grad()
    loss.backward()
    workers.average_gradients(network)
    optimiser.step()
