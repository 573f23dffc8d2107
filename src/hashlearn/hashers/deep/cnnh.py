"""CNNH and CNNH+: codes whose inner products are the similarities of labels, then a network."""

from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_scalar
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from hashlearn._training import Training, Workers, seeded, warn_of_equal_codes
from hashlearn.generative.networks import make_encoder
from hashlearn.hashers.base import FloatArray
from hashlearn.hashers.deep._augmentation import make_augmentation
from hashlearn.hashers.deep._images import (
    ImageHasher,
    bits_of,
    label_loss,
    learn_statistics,
    values_of,
)
from hashlearn.hashers.labels import known_labels

_LOOKED_AT = 1000
_MOST_HALVINGS = 30


class CNNH(ImageHasher):
    r"""Find codes that factorise the similarity of labels, and teach them to a network.

    The first stage knows nothing but labels. :math:`S_{ij}` is 1 where two of the :math:`n` items
    share a label, and -1 elsewhere; :math:`H`, a code of :math:`q` relaxed bits a row, solves [1]_

    .. math:: \min_{H \in [-1, 1]^{n \times q}} \|S - \tfrac1q H H^T\|_F^2

    by Newton's method, one entry after the other, in random order. With
    :math:`L = H H^T - q S`, a change of :math:`H_{ij} = x` by :math:`t` changes :math:`q^2` times
    the objective by

    .. math:: \Delta(t) = 4 L_i^T H_{\cdot j} t
        + 2 (\|H_{\cdot j}\|^2 + x^2 + L_{ii}) t^2 + 4 x t^3 + t^4;

    the step takes :math:`t` to the minimum of the first two terms, as far as the box allows, and is
    halved until :math:`\Delta(t) \le 0`. The second stage teaches :math:`b = \mathrm{sgn}(H)` to a
    network, whose values :math:`v` for an item minimise

    .. math:: \frac1q \sum_k \log(1 + e^{-b_k v_k}) + \lambda L_C:

    CNNH is :math:`\lambda = 0`. CNNH+ has outputs for the labels beside those of the code, and
    :math:`L_C` is their cross-entropy: of the classes, or of each label where items have several.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code.
    label_weight : float, default=0.0
        :math:`\lambda`. 0 is CNNH, more is CNNH+. Paper: unknown; 1 in the tests of this library.
    n_sweeps : int, default=10
        Times that the first stage goes through all entries of :math:`H`. Default: [2]_.
    augment : str or callable, default="shift"
        How the images of a step are changed, as
        :func:`~hashlearn.hashers.deep._augmentation.make_augmentation` takes it: ``"shift,flip"``
        suits photographs. None leaves them as they are. A callable is not saved with the hasher.
    width : int, default=32
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer. Paper: 32.
    depth : int, default=2
        Hidden layers. Images of 32 pixels and more take 3. Paper: 3 and a dense one.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_steps : int, default=2000
        Steps of the network.
    batch_size : int, default=64
        Items a step.
    lr : float, default=0.002
        Step size of Adam at the start, from which it falls to 0 along a line.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the codes, the network, the batches and the changes of images.

    Attributes
    ----------
    layers_ : dict of str to ndarray, float32
        The network, without its outputs for labels.
    codes_ : ndarray of shape (n_labelled, n_bits), uint8
        Bits 0/1 that the first stage found for the labelled training items, in their order.
    losses_ : ndarray of shape (n_sweeps + 1,), float64
        Objective of the first stage, divided by :math:`n^2`: at the start and after each sweep. It
        never rises.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Per step: ``"code"``, and for CNNH+ ``"label"``, :math:`L_C`.
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
    Items without a label (-1, or a row of zeros) are left out.

    Items with the same labels have the same rows of :math:`S`, so neither :math:`S` nor :math:`L`
    is ever written out: with :math:`g` such groups an entry takes O(q + g), and all of the first
    stage O(n (q + g)) numbers.

    Differences from the paper:

    1. The network halves height and width by strides, and has no dense hidden layer; images are
       shifted instead of units dropped.
    2. The loss of the code outputs is logistic: what the paper takes is unknown to us.
    3. Steps are halved where the fourth-order objective would rise; [2]_ takes back whole sweeps.

    Fit takes O(n_sweeps n q (q + g)) and O(n_steps batch_size w), w the cost of an item in the
    network, encoding an item w.

    References
    ----------
    .. [1] R. Xia, Y. Pan, H. Lai, C. Liu and S. Yan, 2014, "Supervised hashing for image retrieval
       via image representation learning", AAAI.
    .. [2] swuxyj, 2021, "DeepHash-pytorch", https://github.com/swuxyj/DeepHash-pytorch.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.integers(0, 256, (100, 8, 8), np.uint8), rng.integers(0, 3, 100)
    >>> hasher = CNNH(n_bits=8, label_weight=1, width=4, n_steps=20, random_state=0).fit(X, y)
    >>> hasher.encode(X).shape, bool((np.diff(hasher.losses_) <= 0).all())
    ((100, 1), True)
    """

    supervised: ClassVar[bool] = True

    codes_: NDArray[np.uint8]
    losses_: NDArray[np.float64]
    history_: dict[str, FloatArray]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        label_weight: float = 0.0,
        n_sweeps: int = 10,
        augment: Any = "shift",
        width: int = 32,
        depth: int = 2,
        image_shape: tuple[int, ...] | None = None,
        n_steps: int = 2000,
        batch_size: int = 64,
        lr: float = 0.002,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.label_weight = label_weight
        self.n_sweeps = n_sweeps
        self.augment = augment
        self.width = width
        self.depth = depth
        self.image_shape = image_shape
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.lr = lr
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def _fit(self, X: FloatArray, y: NDArray[Any] | None, rng: np.random.RandomState) -> None:
        self._check_parameters()
        assert y is not None  # the base asks for it
        Y, labelled = known_labels(y)
        X = X[labelled]
        groups = Groups.of(Y)
        self._learn_scale(X)
        H, self.losses_ = factorise(groups, self.n_bits, self.n_sweeps, rng)
        self.codes_ = (H >= 0).astype(np.uint8)
        workers = Workers(self.device)
        with seeded(rng, workers.device):
            n_outputs = self.n_bits + (Y.shape[1] if self.label_weight else 0)
            network = make_encoder(
                self._tensor_shape, n_outputs, width=self.width, depth=self.depth
            ).to(workers.device)
            parts = self._tensor(X), torch.from_numpy(self.codes_).float(), torch.tensor(Y).float()
            data, bits, labels = (part.to(workers.device) for part in parts)
            self.history_ = self._train(network, data, bits, labels, workers).history()
            keep_outputs(network, self.n_bits)
            learn_statistics(network, data)
            if np.ptp(X, axis=0).any():  # the codes of equal images are rightly equal
                warn_of_equal_codes(
                    bits_of(values_of(network, data[:_LOOKED_AT])),
                    "try more steps, a smaller lr or another random_state",
                )
        self._keep_network(network)

    def _train(
        self, network: nn.Sequential, data: Tensor, bits: Tensor, labels: Tensor, workers: Workers
    ) -> Training:
        optimisers = {"network": torch.optim.Adam(network.parameters(), self.lr)}
        training = self._training(network, optimisers, workers, data, bits, labels)
        change = make_augmentation(self.augment)
        one_class = bool((labels.sum(dim=1) == 1).all())
        n_items = max(2, workers.share(min(self.batch_size, len(data))))
        for step in training.steps(self.n_steps, "CNNH"):
            optimisers["network"].param_groups[0]["lr"] = self.lr * (1 - step / self.n_steps)
            rows = torch.randint(len(data), (n_items,), device=data.device)
            values = network(change(data.index_select(0, rows)))
            code, scores = values[:, : self.n_bits], values[:, self.n_bits :]
            loss = code_loss(code, bits.index_select(0, rows))
            curves = {"code": loss}
            if self.label_weight:
                curves["label"] = label_loss(scores, labels.index_select(0, rows), one_class)
                loss = loss + self.label_weight * curves["label"]
            optimisers["network"].zero_grad()
            loss.backward()
            workers.average_gradients(network)
            optimisers["network"].step()
            training.record(**curves)
        return training

    def _check_parameters(self) -> None:
        check_scalar(self.label_weight, "label_weight", Real, min_val=0)
        check_scalar(self.n_sweeps, "n_sweeps", Integral, min_val=0)
        make_augmentation(self.augment)
        for name in ("width", "depth", "n_steps"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        check_scalar(self.lr, "lr", Real, min_val=0, include_boundaries="neither")


class Groups(NamedTuple):
    """Hold the similarity of items: those with the same labels are a group.

    Parameters
    ----------
    numbers : ndarray of shape (n,), int64
        Group of each item.
    similar : ndarray of shape (g, g), float64
        1 where two groups share a label, else -1.
    """

    numbers: NDArray[np.int64]
    similar: NDArray[np.float64]

    @classmethod
    def of(cls, Y: NDArray[Any]) -> "Groups":
        """Find the groups.

        Parameters
        ----------
        Y : ndarray of shape (n, n_labels), float64
            0 and 1; every row has a 1.

        Returns
        -------
        Groups
            Similarities.
        """
        sets, numbers = np.unique(Y, axis=0, return_inverse=True)
        return cls(numbers.reshape(-1), np.where(sets @ sets.T > 0, 1.0, -1.0))


def factorise(
    groups: Groups, n_bits: int, n_sweeps: int, rng: np.random.RandomState
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Find relaxed codes whose inner products are nearest to similarities.

    Parameters
    ----------
    groups : Groups
        :math:`S`, of n items.
    n_bits : int
        Length q of the codes.
    n_sweeps : int
        Times to go through all entries.
    rng : RandomState
        Source of the start, uniform in [-1, 1], and of the order.

    Returns
    -------
    H : ndarray of shape (n, q), float64
        Codes, from -1 to 1.
    losses : ndarray of shape (n_sweeps + 1,), float64
        :math:`\|S - H H^T / q\|_F^2 / n^2` at the start and after each sweep.
    """
    H = rng.uniform(-1, 1, (len(groups.numbers), n_bits))
    losses = [similarity_loss(H, groups)]
    for _ in range(n_sweeps):
        sweep(H, groups, rng)
        losses.append(similarity_loss(H, groups))
    return H, np.array(losses)


def sweep(H: NDArray[np.float64], groups: Groups, rng: np.random.RandomState) -> None:
    """Take a step of Newton's method along each entry, bit after bit, in random order.

    Parameters
    ----------
    H : ndarray of shape (n, q), float64
        Codes, changed in place.
    groups : Groups
        Similarities of the n items.
    rng : RandomState
        Source of the order.
    """
    n, q = H.shape
    norms = np.square(H).sum(axis=1)
    numbers = groups.numbers.tolist()
    for j in rng.permutation(q):
        products = H.T @ H[:, j]
        # What similar items have of this bit, less what the others have: S H, group by group.
        sums = groups.similar @ np.bincount(groups.numbers, H[:, j], len(groups.similar))
        for i in rng.permutation(n).tolist():
            row, group = H[i], numbers[i]
            x = float(row[j])
            slope = float(row @ products) - q * float(sums[group])
            curvature = float(products[j]) + x * x + float(norms[i]) - q
            t = newton_step(x, slope, curvature)
            if t:
                products += t * row
                products[j] += t * x + t * t
                sums += t * groups.similar[group]
                norms[i] += t * (2 * x + t)
                row[j] = x + t


def newton_step(x: float, slope: float, curvature: float) -> float:
    r"""Find how far to change an entry.

    Parameters
    ----------
    x : float
        The entry, from -1 to 1.
    slope : float
        :math:`L_i^T H_{\cdot j}`, a quarter of the derivative.
    curvature : float
        A quarter of the second derivative.

    Returns
    -------
    float
        Change that leaves the entry from -1 to 1 and the objective no higher.
    """
    if slope == 0:
        return 0.0
    # Where the parabola opens downwards it falls to the end of the box.
    t = -slope / curvature if curvature > 0 else (-2.0 if slope > 0 else 2.0)
    t = min(max(t, -1 - x), 1 - x)
    for _ in range(_MOST_HALVINGS):
        if t * (4 * slope + t * (2 * curvature + t * (4 * x + t))) <= 0:
            return t
        t /= 2
    return 0.0


def similarity_loss(H: NDArray[np.float64], groups: Groups) -> float:
    r"""Compute how far inner products are from similarities.

    Parameters
    ----------
    H : ndarray of shape (n, q), float64
        Codes.
    groups : Groups
        :math:`S`.

    Returns
    -------
    float
        :math:`\|S - H H^T / q\|_F^2 / n^2`.
    """
    n, q = H.shape
    sums = np.zeros((len(groups.similar), q))
    np.add.at(sums, groups.numbers, H)
    inner = float((sums * (groups.similar @ sums)).sum())  # the sum of S_ij H_i^T H_j
    squares = float(np.square(H.T @ H).sum())
    return float(1 + (squares / q - 2 * inner) / (q * n * n))


def code_loss(values: Tensor, bits: Tensor) -> Tensor:
    """Compute the logistic loss of bits.

    Parameters
    ----------
    values : Tensor of shape (n, q), float32
        Values of a network: their log odds.
    bits : Tensor of shape (n, q), float32
        0 and 1.

    Returns
    -------
    Tensor of shape (), float32
        Mean over items and bits.
    """
    return binary_cross_entropy_with_logits(values, bits)


@torch.no_grad()
def keep_outputs(network: nn.Sequential, n_outputs: int) -> None:
    """Cut the last layer of a network to its first outputs.

    Parameters
    ----------
    network : nn.Sequential
        Network that ends with a linear layer, changed in place.
    n_outputs : int
        How many stay.
    """
    last = cast(nn.Linear, network[-1])
    last.weight = nn.Parameter(last.weight[:n_outputs].clone())
    last.bias = nn.Parameter(last.bias[:n_outputs].clone())
    last.out_features = n_outputs
