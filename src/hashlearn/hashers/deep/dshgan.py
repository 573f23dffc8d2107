"""DSHGAN: deep semantic hashing with generative adversarial networks."""

from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_scalar
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from hashlearn._training import (
    Training,
    Workers,
    seeded,
    warn_of_equal_codes,
    warn_of_equal_samples,
)
from hashlearn.generative.gan import discriminator_loss, generator_loss
from hashlearn.generative.networks import bound, make_encoder, make_generator, start_as_dcgan
from hashlearn.hashers.base import FloatArray
from hashlearn.hashers.deep._images import ImageHasher, bits_of, learn_statistics, values_of
from hashlearn.hashers.labels import indicator_matrix

Unlabelled = Literal["some-class", "left-out", "zeros"]

_SHOWN = 8
"""Synthetic images that are kept of each class."""

_LOOKED_AT = 2000
"""Items whose codes are looked at for a collapse."""


class DSHGAN(ImageHasher):
    r"""Hash images by a few labels, with synthetic images of every class beside the real ones.

    A generator makes images :math:`G(z, y)` of noise :math:`z \sim N(0, I)` and a label vector
    :math:`y`. One network of convolutions has three heads: the codes :math:`h(x) \in [0, 1]^r`,
    which are sigmoids and end as bits; the probabilities of the classes; and :math:`D(x)`, that an
    image is real. It learns from triplets of a labelled image :math:`x`, an image :math:`x^+` with
    the same labels and one :math:`x^-` with others, which are real, or synthetic:
    :math:`x^+ = G(z, y)` and :math:`x^- = G(z', y')` [1]_. It minimises

    .. math:: \lambda_h L_{rank} + \lambda_c L_{class} + \lambda_a L_{real},

        L_{rank} = E [m - d(x, x^-) + d(x, x^+)]_+, \qquad
        d(x, x') = \frac{1}{r} \|h(x) - h(x')\|^2,

        L_{real} = -E \log D(x) - E \log (1 - D(G(z, y))).

    For codes of zeros and ones :math:`d` is the share of bits that differ. :math:`L_{class}` is the
    cross-entropy of the labels of all three images, that of a softmax where an image has one class,
    and the sum of each label's where it may have several. In turn the generator minimises
    :math:`-E \log D(G(z, y)) + L_{class}`, as an auxiliary-classifier GAN [2]_. Its images make
    triplets after a time, when they look like real ones. Images without labels are real too: from
    them the network learns what shapes there are, and the generator draws more of these than are
    labelled.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`.
    synthetic : bool, default=True
        Whether there is a generator. If not, all triplets are real, there is no :math:`L_{real}`,
        and unlabelled images are not learned from.
    unlabelled : {"some-class", "left-out", "zeros"}, default="some-class"
        What images without labels are. With ``"zeros"`` they are of no class: each class should
        have the probability 0, and is judged by itself. The others leave them out of
        :math:`L_{class}`. With ``"some-class"`` the class head says what is real, as in [3]_: the
        log odds of :math:`D(x)` are those that it gives to all classes together, the logarithm of
        the sum of their exponentials; otherwise a head of its own does. Paper: ``"zeros"``.
    margin : float, default=0.25
        :math:`m`: how much farther images of other labels should be, as a share of the bits.
    rank_weight : float, default=10.0
        :math:`\lambda_h`: larger values sharpen codes sooner.
    class_weight : float, default=1.0
        :math:`\lambda_c`: larger values ask for classes that can be told apart.
    adversary_weight : float, default=0.1
        :math:`\lambda_a`: larger values let unlabelled images shape the network.
    noise : float, default=0.3
        Standard deviation of the noise that is added to what the network sees in training, where
        pixels span 2. It regularises, and keeps real and synthetic images comparable.
    n_latent : int, default=32
        Values of :math:`z`.
    width : int, default=16
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer.
    depth : int, default=2
        Hidden layers of each network. Images of 32 pixels and more take 3.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_pretrain : int, default=700
        Steps before there are triplets of synthetic images.
    n_steps : int, default=1300
        Steps with them. Without a generator all steps are alike.
    batch_size : int, default=64
        Triplets of each kind a step, and as many unlabelled images.
    lr : float, default=0.001
        Step size of Adam; it falls to 0 along a line over the second half of all steps.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the networks, the batches and the noise.

    Attributes
    ----------
    layers_ : dict of str to ndarray, float32
        The hash function, as :func:`~hashlearn.generative.networks.export_layers` writes it.
    samples_ : ndarray of shape (n_labels, n_shown, ...), float32
        Synthetic images, a row for each class in the order of their names, or of the columns of
        labels; in the shape and the kind of numbers of those in ``fit``. 8 of each, or none
        without a generator.
    history_ : dict of str to ndarray of shape (n_taken,), float32
        Per step: ``"class"`` and ``"rank"``, :math:`L_{class}` and :math:`L_{rank}` of real images;
        with a generator also ``"real"``, :math:`L_{real}`, and ``"generator"``, what the generator
        minimises; per step with synthetic triplets ``"synthetic_class"`` and ``"synthetic_rank"``.
    item_shape_ : tuple of int
        Shape of an item: (height, width), (height, width, channels) or (d,).
    item_dtype_ : str
        Kind of the numbers in ``fit``.
    shift_ : ndarray of shape (n_shifts,), float32
        What is subtracted from a row: one number of images, one a feature of vectors.
    scale_ : float
        What the difference is divided by.
    n_features_in_ : int
        Numbers of an item.

    Notes
    -----
    Labels are class numbers, -1 for an image without, or a 0/1 matrix (n, n_labels), in which a row
    of zeros is an image without.

    Settings were tried on MNIST, with 50 labels of each class, by queries held out of its training
    images.

    Differences from the paper, whose margin, weights and rates were not at hand:

    1. By default unlabelled images are left out of the class loss, and the class head judges what
       is real. As images of no class they are told apart from labelled ones that look the same.
    2. Triplets of real images are ranked besides, and from the first step.
    3. The network is small and starts at random; the paper's is a large one.
    4. Batches of real and of synthetic images are normalised apart, without which the generator
       learns nothing; the exported network is normalised by real ones.
    5. The network sees images with noise.

    The :math:`y'` of an image are labels that share the fewest with it. Fit takes
    O((n_pretrain + n_steps) batch_size c) for c the cost of the network, 25 operations for each
    pixel of a layer and pair of channels; encoding an image O(c).

    References
    ----------
    .. [1] Z. Qiu, Y. Pan, T. Yao and T. Mei, 2017, "Deep semantic hashing with generative
       adversarial networks", SIGIR.
    .. [2] A. Odena, C. Olah and J. Shlens, 2017, "Conditional image synthesis with auxiliary
       classifier GANs", ICML.
    .. [3] T. Salimans et al., 2016, "Improved techniques for training GANs", NIPS.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.arange(90) % 3
    >>> X = np.eye(3, 8)[y] + 0.2 * np.random.default_rng(0).normal(size=(90, 8))
    >>> y[30:] = -1  # not labelled
    >>> hasher = DSHGAN(4, width=4, n_pretrain=20, n_steps=40, random_state=0).fit(X, y)
    >>> hasher.samples_.shape
    (3, 8, 8)
    """

    supervised = True

    samples_: NDArray[Any]
    history_: dict[str, FloatArray]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        synthetic: bool = True,
        unlabelled: Unlabelled = "some-class",
        margin: float = 0.25,
        rank_weight: float = 10.0,
        class_weight: float = 1.0,
        adversary_weight: float = 0.1,
        noise: float = 0.3,
        n_latent: int = 32,
        width: int = 16,
        depth: int = 2,
        image_shape: tuple[int, ...] | None = None,
        n_pretrain: int = 700,
        n_steps: int = 1300,
        batch_size: int = 64,
        lr: float = 0.001,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.synthetic = synthetic
        self.unlabelled = unlabelled
        self.margin = margin
        self.rank_weight = rank_weight
        self.class_weight = class_weight
        self.adversary_weight = adversary_weight
        self.noise = noise
        self.n_latent = n_latent
        self.width = width
        self.depth = depth
        self.image_shape = image_shape
        self.n_pretrain = n_pretrain
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.lr = lr
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def _fit(self, X: FloatArray, y: NDArray[Any] | None, rng: np.random.RandomState) -> None:
        self._check_parameters()
        assert y is not None  # the base asks for it
        labels = _LabelSets.of(indicator_matrix(y))
        self._learn_scale(X)
        workers = Workers(self.device)
        with seeded(rng, workers.device):
            networks = self._build(labels.Y.shape[1]).to(workers.device)
            data = self._tensor(X).to(workers.device)
            labels = labels.to(workers.device)
            self.history_ = self._train(networks, data, labels, workers).history()
            trunk = cast(nn.Sequential, networks["trunk"])
            network = nn.Sequential(*trunk, networks["hash"])
            learn_statistics(network, data)
            self._keep_network(network)
            if np.ptp(X, axis=0).any():  # the codes of equal images are rightly equal
                warn_of_equal_codes(
                    bits_of(values_of(network, data[:_LOOKED_AT])),
                    "try more steps, a smaller margin or another random_state",
                )
            samples = self._draw_samples(networks, labels)
        made = self._items(samples).reshape(-1, _SHOWN, *self.item_shape_)
        self.samples_ = made if self.synthetic else made[:, :0]
        if self.synthetic and np.ptp(X, axis=0).any():
            warn_of_equal_samples(
                samples.flatten(1).cpu().numpy(), self._scaled(X[:1000]),
                "try more steps, a smaller lr or another random_state",
            )  # fmt: skip

    def _check_parameters(self) -> None:
        check_scalar(self.synthetic, "synthetic", (bool, np.bool_))
        if self.unlabelled not in get_args(Unlabelled):
            raise ValueError(
                f"unlabelled must be one of {', '.join(get_args(Unlabelled))}; got "
                f"{self.unlabelled!r}"
            )
        for name in ("n_latent", "width", "depth", "n_steps"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.n_pretrain, "n_pretrain", Integral, min_val=0)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        for name in ("margin", "lr"):
            check_scalar(getattr(self, name), name, Real, min_val=0, include_boundaries="neither")
        for name in ("rank_weight", "class_weight", "adversary_weight", "noise"):
            check_scalar(getattr(self, name), name, Real, min_val=0)

    def _build(self, n_labels: int) -> nn.ModuleDict:
        shape, width, depth = self._tensor_shape, self.width, self.depth
        encoder = make_encoder(shape, self.n_bits, width=width, depth=depth)
        trunk, hash_head = encoder[:-1], cast(nn.Linear, encoder[-1])
        n_inputs = self.n_latent + n_labels
        networks = nn.ModuleDict(
            {
                "trunk": trunk,
                "hash": hash_head,
                "class": nn.Linear(hash_head.in_features, n_labels),
                "real": nn.Linear(hash_head.in_features, 1),
                "generator": make_generator(shape, n_inputs, width=width, depth=depth),
            }
        )
        if len(shape) == 3:
            start_as_dcgan(networks)
        return networks

    def _train(
        self, networks: nn.ModuleDict, data: Tensor, labels: "_LabelSets", workers: Workers
    ) -> Training:
        """Train on classes and realness, then on ranks of distances too."""
        trunk, to_values, to_classes, to_real, _ = networks.values()
        learners = nn.ModuleList([trunk, to_values, to_classes, to_real])
        optimisers = {
            name: torch.optim.Adam(network.parameters(), self.lr, betas=(0.5, 0.999))
            for name, network in (("learners", learners), ("generator", networks["generator"]))
        }

        def odds_of(features: Tensor) -> Tensor:
            if self.unlabelled == "some-class":
                return cast(Tensor, to_classes(features)).logsumexp(dim=1)
            return cast(Tensor, to_real(features))

        training = self._training(networks, optimisers, workers, data, labels.Y)
        n_items = max(2, workers.share(self.batch_size))
        one_class = self.unlabelled != "zeros" and bool((labels.sets.sum(dim=1) == 1).all())
        n_all = self.n_pretrain + self.n_steps
        for step in training.steps(n_all, "DSHGAN"):
            for optimiser in optimisers.values():
                optimiser.param_groups[0]["lr"] = self.lr * min(1.0, 2 * (1 - step / n_all))
            rows, own, other = labels.draw(n_items)
            seen = torch.cat([rows, labels.rows_of(own), labels.rows_of(other)])
            if self.synthetic:
                seen = torch.cat([seen, labels.draw_unlabelled(n_items)])
            real = self._features(trunk, data.index_select(0, seen))
            given = labels.sets.index_select(0, torch.cat([own, own, other]))
            Y, known = given[:n_items], real if self.unlabelled == "zeros" else real[: len(given)]
            targets = nn.functional.pad(given, (0, 0, 0, len(known) - len(given)))
            h, near, far = to_values(real[: len(given)]).sigmoid().split(n_items)
            curves = {
                "class": class_loss(to_classes(known), targets, one_class),
                "rank": rank_loss(h, near, far, self.margin),
            }
            loss = self.class_weight * curves["class"] + self.rank_weight * curves["rank"]
            if self.synthetic:
                is_taught = step >= self.n_pretrain
                wanted = given[n_items:] if is_taught else Y
                made = self._make(networks["generator"], wanted)
                synthetic = self._features(trunk, made.detach())
                judged = torch.cat([real[:n_items], real[len(given) :]])
                curves["real"] = discriminator_loss(odds_of(judged), odds_of(synthetic))
                loss = loss + self.adversary_weight * curves["real"]
                if is_taught:
                    near, far = to_values(synthetic).sigmoid().split(n_items)
                    curves |= {
                        "synthetic_class": class_loss(to_classes(synthetic), wanted, one_class),
                        "synthetic_rank": rank_loss(h, near, far, self.margin),
                    }
                    loss = loss + self.class_weight * curves["synthetic_class"]
                    loss = loss + self.rank_weight * curves["synthetic_rank"]
            optimisers["learners"].zero_grad()
            loss.backward()
            workers.average_gradients(learners)
            optimisers["learners"].step()
            if self.synthetic:
                features = self._features(trunk, made[:n_items])
                g_loss = generator_loss(odds_of(features), "non-saturating")
                g_loss = g_loss + class_loss(to_classes(features), Y, one_class)
                optimisers["generator"].zero_grad()
                g_loss.backward()
                workers.average_gradients(networks["generator"])
                optimisers["generator"].step()
                curves["generator"] = g_loss
            training.record(**curves)
        return training

    def _features(self, trunk: nn.Module, images: Tensor) -> Tensor:
        """Compute what the heads see of images, one batch to be normalised together."""
        features: Tensor = trunk(images + self.noise * torch.randn_like(images))
        return features

    def _make(self, generator: nn.Module, given: Tensor) -> Tensor:
        z = torch.randn(len(given), self.n_latent, device=given.device)
        return bound(generator(torch.cat([z, given], dim=1)))

    @torch.no_grad()
    def _draw_samples(self, networks: nn.ModuleDict, labels: "_LabelSets") -> Tensor:
        """Draw images of each class alone, class after class, normalised as in training."""
        classes = torch.eye(labels.Y.shape[1], device=labels.Y.device)
        return self._make(networks["generator"], classes.repeat_interleave(_SHOWN, dim=0))


class _LabelSets(NamedTuple):
    """Hold labels such that triplets can be drawn: items with the same labels are a set.

    Parameters
    ----------
    Y : Tensor of shape (n, n_labels), float32
        0 and 1; a row of zeros is an item without labels.
    sets : Tensor of shape (n_sets, n_labels), float32
        The rows of `Y` that differ, without that of zeros.
    counts : Tensor of shape (n_sets,), int64
        Items in each set.
    rows : Tensor of shape (n_labelled,), int64
        Labelled items, set after set.
    unlabelled : Tensor of shape (n - n_labelled,), int64
        The others.
    """

    Y: Tensor
    sets: Tensor
    counts: Tensor
    rows: Tensor
    unlabelled: Tensor

    @classmethod
    def of(cls, Y: NDArray[Any]) -> "_LabelSets":
        """Sort items by their labels, a matrix of 0 and 1 with a row for each."""
        is_labelled = Y.any(axis=1)
        labelled = np.flatnonzero(is_labelled)
        sets, numbers, counts = np.unique(
            Y[labelled], axis=0, return_inverse=True, return_counts=True
        )
        if len(sets) < 2:
            raise ValueError(
                f"labels must be of 2 classes or more, got {len(sets)}: {len(labelled)} of "
                f"{len(Y)} items are labelled"
            )
        rows = labelled[np.argsort(numbers.reshape(-1), kind="stable")]
        return cls(
            torch.tensor(Y, dtype=torch.float32),
            torch.tensor(sets, dtype=torch.float32),
            torch.tensor(counts),
            torch.tensor(rows),
            torch.tensor(np.flatnonzero(~is_labelled)),
        )

    def to(self, device: torch.device) -> "_LabelSets":
        """Move all parts to a device."""
        return _LabelSets(*(part.to(device) for part in self))

    def draw(self, n_items: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw labelled items: their rows, their sets, and of each a set of other labels.

        That is one of those that share the fewest labels with the item's own, drawn by its size.
        """
        places = torch.randint(len(self.rows), (n_items,), device=self.rows.device)
        own = torch.searchsorted(self.counts.cumsum(0), places, right=True)
        shared = self.sets.index_select(0, own) @ self.sets.T
        shared.scatter_(1, own[:, None], torch.inf)
        fewest = shared == shared.amin(dim=1, keepdim=True)
        other = torch.multinomial(fewest * self.counts.float(), 1)[:, 0]
        return self.rows.index_select(0, places), own, other

    def rows_of(self, sets: Tensor) -> Tensor:
        """Draw the row of an item of each of some sets."""
        ends, counts = (part[sets] for part in (self.counts.cumsum(0), self.counts))
        within = (torch.rand(len(sets), device=sets.device) * counts).long()
        return self.rows[ends - counts + within.minimum(counts - 1)]

    def draw_unlabelled(self, n_items: int) -> Tensor:
        """Draw rows of unlabelled items; none if all are labelled."""
        n_unlabelled = len(self.unlabelled)
        if not n_unlabelled:
            return self.unlabelled
        return self.unlabelled[torch.randint(n_unlabelled, (n_items,), device=self.Y.device)]


def rank_loss(h: Tensor, near: Tensor, far: Tensor, margin: float) -> Tensor:
    r"""Compute the mean of :math:`[m - d(x, x^-) + d(x, x^+)]_+`.

    Parameters
    ----------
    h : Tensor of shape (n, n_bits), float32
        Codes of images, in [0, 1].
    near : Tensor of shape (n, n_bits), float32
        Those of images with the same labels.
    far : Tensor of shape (n, n_bits), float32
        Those of images with other labels.
    margin : float
        :math:`m`, as a share of the bits.

    Returns
    -------
    Tensor of shape (), float32
        Loss.
    """
    excess = (h - near).square().mean(dim=1) - (h - far).square().mean(dim=1)
    return (margin + excess).clamp(min=0).mean()


def class_loss(logits: Tensor, Y: Tensor, one_class: bool) -> Tensor:
    """Compute the cross-entropy of labels.

    Parameters
    ----------
    logits : Tensor of shape (n, n_labels), float32
        Log odds of the labels, or up to a constant their log probabilities.
    Y : Tensor of shape (n, n_labels), float32
        Labels 0/1.
    one_class : bool
        Whether probabilities of an image add up to 1, or each is judged by itself.

    Returns
    -------
    Tensor of shape (), float32
        Mean over the images, in nats; of labels by themselves the sum.
    """
    if one_class:
        return cross_entropy(logits, Y)
    return binary_cross_entropy_with_logits(logits, Y, reduction="sum") / len(Y)
