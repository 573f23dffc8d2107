"""CSQ: a network that brings items to centres of their labels, far from one another."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard
from sklearn.utils import check_scalar
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from hashlearn._training import Training, Workers, seeded, warn_of_equal_codes
from hashlearn.generative.networks import make_encoder
from hashlearn.hashers.base import FloatArray
from hashlearn.hashers.deep._augmentation import make_augmentation
from hashlearn.hashers.deep._images import ImageHasher, bits_of, learn_statistics, values_of
from hashlearn.hashers.labels import known_labels

_LOOKED_AT = 1000
_DRAWS = 100


class CSQ(ImageHasher):
    r"""Bring the codes of items to hash centres, one for each label.

    Centres are bit strings of which any two differ in about half of the bits: rows of a Hadamard
    matrix and their opposites, where there are such, or random bits [1]_. The centre :math:`c` of
    an item with several labels has in each bit what most of their centres have; where as many have
    0 as 1, chance decides, once for each set of labels. The network's values :math:`v` for an item,
    with :math:`h = \sigma(v)`, minimise

    .. math:: -\frac1q \sum_k \bigl(c_k \log h_k + (1 - c_k) \log (1 - h_k)\bigr)
        + \lambda \frac1q \sum_k \log \cosh(|2 h_k - 1| - 1),

    the central similarity and the quantisation loss.

    Parameters
    ----------
    n_bits : int, default=32
        Length :math:`q` of the code. Powers of two have Hadamard centres, for up to 2 q labels.
    quantization_weight : float, default=0.0001
        :math:`\lambda`. Paper: 0.0001.
    augment : str or callable, default="shift"
        How the images of a step are changed, as
        :func:`~hashlearn.hashers.deep._augmentation.make_augmentation` takes it: ``"shift,flip"``
        suits photographs. None leaves them as they are. A callable is not saved with the hasher.
    width : int, default=32
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer.
    depth : int, default=2
        Hidden layers. Images of 32 pixels and more take 3.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_steps : int, default=2000
        Steps of the network.
    batch_size : int, default=64
        Items a step. Paper: 64.
    lr : float, default=0.002
        Step size of Adam at the start, from which it falls to 0 along a line.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the centres, the network, the batches and the changes of images.

    Attributes
    ----------
    layers_ : dict of str to ndarray, float32
        The network.
    centers_ : ndarray of shape (n_labels, n_bits), uint8
        Bits 0/1 of the labels' centres, in the order of the labels' sorted names or columns.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Per step, without its weight: ``"center"`` and ``"quantization"``.
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

    Differences from the paper:

    1. The network is small and trained from the start; the paper's is pre-trained.
    2. Random centres are the best of 100 draws: those whose nearest two are farthest apart.
    3. Losses are means over bits, so that the weight means the same for codes of any length.

    Fit takes O(n_steps batch_size w), w the cost of an item in the network, encoding an item w.

    References
    ----------
    .. [1] L. Yuan, T. Wang, X. Zhang, F. E. H. Tay, Z. Jie, W. Liu and J. Feng, 2020, "Central
       similarity quantization for efficient image and video retrieval", CVPR.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.integers(0, 256, (100, 8, 8), np.uint8), rng.integers(0, 3, 100)
    >>> hasher = CSQ(n_bits=8, width=4, n_steps=20, random_state=0).fit(X, y)
    >>> hasher.encode(X).shape, (hasher.centers_[0] != hasher.centers_[1]).sum() >= 4
    ((100, 1), np.True_)
    """

    supervised: ClassVar[bool] = True

    centers_: NDArray[np.uint8]
    history_: dict[str, FloatArray]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        quantization_weight: float = 0.0001,
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
        self.quantization_weight = quantization_weight
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
        self._learn_scale(X)
        self.centers_ = hash_centers(Y.shape[1], self.n_bits, rng)
        targets = centers_of(Y, self.centers_, rng)
        workers = Workers(self.device)
        with seeded(rng, workers.device):
            network = make_encoder(
                self._tensor_shape, self.n_bits, width=self.width, depth=self.depth
            ).to(workers.device)
            data = self._tensor(X).to(workers.device)
            c = torch.from_numpy(targets).float().to(workers.device)
            self.history_ = self._train(network, data, c, workers).history()
            learn_statistics(network, data)
            if np.ptp(X, axis=0).any():  # the codes of equal images are rightly equal
                bits = bits_of(values_of(network, data[:_LOOKED_AT]))
                warn_of_equal_codes(
                    bits[:, np.ptp(targets, axis=0) > 0],  # the others are rightly constant
                    "try more steps, a smaller lr or another random_state",
                )
        self._keep_network(network)

    def _train(self, network: nn.Sequential, data: Tensor, c: Tensor, workers: Workers) -> Training:
        optimisers = {"network": torch.optim.Adam(network.parameters(), self.lr)}
        training = self._training(network, optimisers, workers, data, c)
        change = make_augmentation(self.augment)
        n_items = max(2, workers.share(min(self.batch_size, len(data))))
        for step in training.steps(self.n_steps, "CSQ"):
            optimisers["network"].param_groups[0]["lr"] = self.lr * (1 - step / self.n_steps)
            rows = torch.randint(len(data), (n_items,), device=data.device)
            values = network(change(data.index_select(0, rows)))
            curves = {
                "center": center_loss(values, c.index_select(0, rows)),
                "quantization": quantization_loss(values),
            }
            loss = curves["center"] + self.quantization_weight * curves["quantization"]
            optimisers["network"].zero_grad()
            loss.backward()
            workers.average_gradients(network)
            optimisers["network"].step()
            training.record(**curves)
        return training

    def _check_parameters(self) -> None:
        check_scalar(self.quantization_weight, "quantization_weight", Real, min_val=0)
        make_augmentation(self.augment)
        for name in ("width", "depth", "n_steps"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        check_scalar(self.lr, "lr", Real, min_val=0, include_boundaries="neither")


def hash_centers(n_labels: int, n_bits: int, rng: np.random.RandomState) -> NDArray[np.uint8]:
    """Choose a centre for each label.

    Parameters
    ----------
    n_labels : int
        Number of centres.
    n_bits : int
        Their length q.
    rng : RandomState
        Source.

    Returns
    -------
    ndarray of shape (n_labels, n_bits), uint8
        Bits 0/1. If q is a power of two, rows of a Hadamard matrix, any two of which differ in q/2
        bits, and if there are too few of them, also opposites of rows. If that is not enough
        either, or there is no such matrix, random bits.
    """
    if n_bits & (n_bits - 1) == 0 and n_labels <= 2 * n_bits:
        rows = hadamard(n_bits)[rng.permutation(n_bits)]
        centers = np.concatenate([rows, -rows])[:n_labels]
        return np.asarray(centers > 0, np.uint8)
    best, most = np.empty((0, 0), np.uint8), -1
    for _ in range(_DRAWS):
        drawn = rng.randint(2, size=(n_labels, n_bits)).astype(np.uint8)
        signs = 2.0 * drawn - 1
        nearest = signs @ signs.T
        np.fill_diagonal(nearest, -n_bits)
        least = int(n_bits - nearest.max()) // 2
        if least > most:
            best, most = drawn, least
    return best


def centers_of(
    Y: NDArray[Any], centers: NDArray[np.uint8], rng: np.random.RandomState
) -> NDArray[np.uint8]:
    """Give each item the bits that most of its labels' centres have.

    Parameters
    ----------
    Y : ndarray of shape (n, n_labels), float64
        0 and 1; every row has a 1.
    centers : ndarray of shape (n_labels, q), uint8
        Bits 0/1.
    rng : RandomState
        Source of bits that as many have as not; items with the same labels share them.

    Returns
    -------
    ndarray of shape (n, q), uint8
        Bits 0/1.
    """
    sets, numbers = np.unique(Y, axis=0, return_inverse=True)
    votes = sets @ (2.0 * centers - 1)
    drawn = rng.randint(2, size=votes.shape)
    bits = np.where(votes == 0, drawn, votes > 0).astype(np.uint8)
    return np.asarray(bits[numbers.reshape(-1)])


def center_loss(values: Tensor, c: Tensor) -> Tensor:
    """Compute the cross-entropy of bits and centres.

    Parameters
    ----------
    values : Tensor of shape (n, q), float32
        Values of the network: log odds of the bits.
    c : Tensor of shape (n, q), float32
        Centres, 0 and 1.

    Returns
    -------
    Tensor of shape (), float32
        Mean over items and bits.
    """
    return binary_cross_entropy_with_logits(values, c)


def quantization_loss(values: Tensor) -> Tensor:
    """Compute how far bits are from sure.

    Parameters
    ----------
    values : Tensor of shape (n, q), float32
        Log odds of the bits.

    Returns
    -------
    Tensor of shape (), float32
        Mean of log cosh(|2 h - 1| - 1), h the probabilities: from 0 to log cosh 1.
    """
    u = (2 * torch.sigmoid(values) - 1).abs() - 1
    # log cosh u = |u| + log(1 + exp(-2 |u|)) - log 2, which never overflows; u is not above 0.
    return (softplus(2 * u) - u).mean() - float(np.log(2))
