"""NeighborMatching: codes whose neighbours are those of the vectors, batch by batch."""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_scalar
from torch import Tensor

from hashlearn._training import (
    MOST_HELD_BACK,
    count_held_back,
    endless_batches,
    find_device,
    is_check,
    progress,
    seeded,
    squared_distances,
)
from hashlearn.hashers.base import FloatArray, LinearHasher
from hashlearn.hashers.deep._linear import Coordinates, start_functions

_NARROWEST = 1e-6
"""Bandwidth where the nearest are all equally near, for vectors of mean squared norm 1."""


class NeighborMatching(LinearHasher):
    r"""Match the neighbours of codes to the neighbours of vectors in every batch.

    A method of this library. In a batch of :math:`n` vectors :math:`x_i` with codes
    :math:`b_i = sgn(W^T x_i + c)`, vector :math:`i` picks another as its neighbour with probability
    :math:`p_{ij}`, the softmax over :math:`j` of their negative squared distances, and code
    :math:`i` picks code :math:`j` with probability :math:`q_{ij}`, the softmax of their negative
    Hamming distances :math:`h_{ij}`:

    .. math::

        p_{ij} \propto \exp(-\|x_i - x_j\|^2 / \sigma_i^2), \qquad
        q_{ij} = \frac{e^{-\tau h_{ij}}}{\sum_k e^{-\tau h_{ik}}}, \qquad
        Q_{ij} = \frac{n \, e^{-\tau h_{ij}}}{\sum_{kl} e^{-\tau h_{kl}}}.

    :math:`Q` is normalised over all pairs at once. The hash functions and :math:`\tau` minimise

    .. math:: -\frac{1}{n} \sum_{i \ne j} p_{ij} [(1 - \rho) \log q_{ij} + \rho \log Q_{ij}].

    The first part wants the neighbours of each query first, which mean average precision measures;
    the second wants them within one radius for all queries, which the pooled area measures.

    Real-valued queries rank codes by the weighted distance
    :math:`a_{ij} = \sum_k |v_{ik}| [b_{ik} \ne b_{jk}]` with the values before the sign
    :math:`v_i = W^T x_i + c`. For them there is a third part, and the whole objective is
    :math:`1 - \alpha` times the above and :math:`\alpha` times

    .. math:: -\frac{1}{n} \sum_{i \ne j} p_{ij} \log r_{ij}, \qquad
        r_{ij} = \frac{e^{-\kappa a_{ij}}}{\sum_{k \ne i} e^{-\kappa a_{ik}}}.

    The bandwidth says who is a neighbour: :math:`\sigma_i^2 = \beta (d_{ik}^2 - d_{i1}^2)` for the
    distances :math:`d_{i1}` and :math:`d_{ik}` of the first and the :math:`k`-th neighbour in the
    batch, where :math:`k / n` is the fraction of neighbours that is asked for.

    The gradient is written out. Signs are passed over with the slope of tanh. What they pass over
    is not the slope of the loss at :math:`b_{ik}` but, to second order, the difference of the loss
    between :math:`b_{ik} = 1` and :math:`b_{ik} = -1`: its slope :math:`g_{ik}` less
    :math:`b_{ik}` times its curvature, a softmax's variance. In the third part, where a bit meets
    many different weights, it is the slope alone.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`, also more than there are features.
    n_neighbors : int or float, default=0.01
        Neighbours of a vector that codes should find: how many of the training vectors, or which
        fraction of them. Fewer favour the very nearest.
    init : str, default="auto"
        Where the hash functions start: ``"random"`` Gaussian ones; a ``"frame"``, random directions
        that cover the space evenly; ``"pca"``, ``"itq"``, or another linear method of the table.
        ``"auto"`` is ITQ up to as many bits as there are features, then a frame.
    n_components : int, default=256
        Principal directions that vectors are reduced to before training, at least as many as bits.
    pooled_weight : float, default=0.1
        :math:`\rho`, from 0 to 1: larger values even out the radius in which queries find their
        neighbours.
    asymmetric_weight : float, default=0.0
        :math:`\alpha`, from 0 to 1: how much the order counts in which real-valued queries find
        codes, as re-ranking uses it. A half is good for codes of embeddings that are re-ranked.
    bandwidth : float, default=0.4
        :math:`\beta`: larger values count vectors beyond the :math:`k`-th neighbour in.
    sharpness : float, default=4.0
        Root mean square of :math:`W^T x + c` at the start. Larger values let fewer vectors, nearer
        to a hyperplane, move it.
    n_steps : int, default=3000
        Batches at most.
    batch_size : int, default=512
        Vectors in a batch :math:`n`.
    lr : float, default=0.02
        Step size of Adam at the start; it falls to 0 along a cosine.
    patience : int, default=10
        Checks on held-back training vectors, at most 20 in all, that may pass without a lower loss
        before training stops. A tenth of the training vectors is held back, 2,048 at most; none
        where that is fewer than 32, and all steps are taken.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the start, of what is held back, and of the batches.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        Hash functions :math:`W^T`, for data as it came: those of the lowest loss on held-back
        vectors.
    bias_ : ndarray of shape (n_bits,), float32
        Their constants.
    temperature_ : float
        :math:`\tau`.
    value_temperature_ : float
        :math:`\kappa`.
    history_ : dict of str to ndarray of shape (n_taken,), float32
        Per step that was taken: ``"loss"`` of the batch; ``"temperature"``, :math:`\tau`; and
        ``"held_back"``, the lowest loss of held-back vectors so far, if any are held back.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    The softmax over distances and its bandwidth are those of stochastic neighbour embedding [1]_;
    its joint form [2]_ is :math:`Q`. The defaults were chosen on queries held out of training
    vectors of MNIST and seen to do on embeddings of photographs and of texts. :math:`\tau` starts
    at min(1, 16 / r); at 8 bits it ends at the same value from half or twice that. :math:`\kappa`
    starts at as much over the `sharpness`.

    Codes about as long as the vectors rank neighbours well before training. It then raises mean
    average precision, but may lower the pooled area, as it did on embeddings of texts; a larger
    `pooled_weight` made little difference there.

    Fit takes O(n_steps n^2 (p + r)) for batches of n vectors in p dimensions, besides the principal
    directions. No more vectors than are drawn in all steps are ever used. Encoding a vector takes
    O(d r).

    References
    ----------
    .. [1] G. Hinton and S. Roweis, 2002, "Stochastic neighbor embedding", NIPS.
    .. [2] L. van der Maaten and G. Hinton, 2008, "Visualizing data using t-SNE", JMLR 9.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 8))
    >>> hasher = NeighborMatching(n_bits=12, n_steps=40, random_state=0).fit(X)
    >>> hasher.encode(X).shape
    (200, 2)
    """

    temperature_: float
    value_temperature_: float
    history_: dict[str, FloatArray]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        n_neighbors: float = 0.01,
        init: str = "auto",
        n_components: int = 256,
        pooled_weight: float = 0.1,
        asymmetric_weight: float = 0.0,
        bandwidth: float = 0.4,
        sharpness: float = 4.0,
        n_steps: int = 3000,
        batch_size: int = 512,
        lr: float = 0.02,
        patience: int = 10,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.n_neighbors = n_neighbors
        self.init = init
        self.n_components = n_components
        self.pooled_weight = pooled_weight
        self.asymmetric_weight = asymmetric_weight
        self.bandwidth = bandwidth
        self.sharpness = sharpness
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
        self._check_parameters(len(X))
        fraction = self.n_neighbors
        if isinstance(fraction, Integral):
            fraction /= len(X) - 1
        device = find_device(self.device)
        n_drawn = self.n_steps * self.batch_size + MOST_HELD_BACK
        if len(X) > n_drawn:
            X = X[rng.choice(len(X), n_drawn, replace=False)]
        n_components = max(self.n_components, self.n_bits)
        coordinates, Z = Coordinates.of(X, n_components, rng)
        start, constants = start_functions(self.init, self.n_bits, Z, rng)
        rng.shuffle(Z)
        n_held_back = count_held_back(len(Z))
        data = torch.from_numpy(Z).to(device)
        W, c = (self.sharpness * torch.from_numpy(array).to(device) for array in (start, constants))
        with seeded(rng, device):
            W, c = self._train(data[n_held_back:], data[:n_held_back], W, c, fraction)
        self.weights_, self.bias_ = coordinates.functions(W.cpu().numpy(), c.cpu().numpy())

    def _train(
        self, data: Tensor, held_back: Tensor, W: Tensor, c: Tensor, fraction: float
    ) -> tuple[Tensor, Tensor]:
        """Follow the gradient batch by batch; give the functions of the lowest held-back loss."""
        log_tau = W.new_tensor(math.log(min(1.0, 16 / self.n_bits)))
        log_kappa = W.new_tensor(math.log(min(1.0, 16 / self.n_bits) / self.sharpness))
        alpha = self.asymmetric_weight
        learned = [W, c, log_tau, log_kappa]
        optimizer = torch.optim.Adam(learned, lr=self.lr, eps=1e-12)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.n_steps)
        stream = endless_batches(len(data), self.batch_size, data.device)
        kept, lowest, n_worse, history = learned, math.inf, 0, []
        if len(held_back):
            # In batches as large as those of training: probabilities depend on the size.
            checks = [
                (x, neighbor_probabilities(x, fraction, self.bandwidth))
                for x in held_back.split(self.batch_size)
                if len(x) == min(len(held_back), self.batch_size)
            ]

            def held_back_loss() -> float:
                losses = []
                for x, P in checks:
                    v = x @ W.T + c
                    B = _signs(v)
                    loss = (1 - alpha) * matching_loss(P, B, log_tau.exp(), self.pooled_weight)
                    if alpha:
                        loss += alpha * asymmetric_loss(P, v, B, log_kappa.exp())
                    losses.append(float(loss))
                return sum(losses) / len(losses)

            kept, lowest = [part.clone() for part in learned], held_back_loss()
        for step in progress(self.n_steps, "NeighborMatching"):
            x = data.index_select(0, next(stream))
            P = neighbor_probabilities(x, fraction, self.bandwidth)
            v = torch.addmm(c, x, W.T)
            B, passed, tau = _signs(v), 1 - v.tanh().square_(), log_tau.exp()
            loss, slope, slope_tau = matching_slopes(P, B, tau, self.pooled_weight)
            slope *= passed
            if alpha:
                kappa = log_kappa.exp()
                other, slope_v, slope_B, slope_kappa = asymmetric_slopes(P, v, B, kappa)
                loss = (1 - alpha) * loss + alpha * other
                slope = (1 - alpha) * slope + alpha * (slope_v + slope_B * passed)
                log_kappa.grad = alpha * slope_kappa * kappa
            W.grad, c.grad = slope.T @ x, slope.sum(dim=0)
            log_tau.grad = (1 - alpha) * slope_tau * tau
            optimizer.step()
            schedule.step()
            if len(held_back) and is_check(step, self.n_steps):
                checked = held_back_loss()
                n_worse += 1
                if checked < lowest:
                    kept, lowest, n_worse = [part.clone() for part in learned], checked, 0
            history.append(torch.stack([loss, loss.new_tensor(lowest), tau]))
            if n_worse > self.patience:
                break
        values = torch.stack(history, dim=1).cpu().numpy()
        if not (np.isfinite(values[0]).all() and all(part.isfinite().all() for part in learned)):
            raise ValueError("training diverged to NaN or infinity; use a smaller lr")
        self.history_ = dict(zip(("loss", "held_back", "temperature"), values, strict=True))
        if not len(held_back):
            del self.history_["held_back"]
        self.temperature_, self.value_temperature_ = float(kept[2].exp()), float(kept[3].exp())
        return kept[0], kept[1]

    def _check_parameters(self, n_samples: int) -> None:
        if isinstance(self.n_neighbors, Integral):
            check_scalar(
                self.n_neighbors, "n_neighbors", Integral, min_val=1, max_val=n_samples - 1
            )
        else:
            check_scalar(
                self.n_neighbors, "n_neighbors", Real, min_val=0, max_val=1,
                include_boundaries="neither",
            )  # fmt: skip
        for name in ("pooled_weight", "asymmetric_weight"):
            check_scalar(getattr(self, name), name, Real, min_val=0, max_val=1)
        check_scalar(self.n_components, "n_components", Integral, min_val=1)
        check_scalar(self.n_steps, "n_steps", Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        check_scalar(self.patience, "patience", Integral, min_val=0)
        for name in ("bandwidth", "sharpness", "lr"):
            check_scalar(getattr(self, name), name, Real, min_val=0, include_boundaries="neither")


def _signs(v: Tensor) -> Tensor:
    return torch.where(v >= 0, 1.0, -1.0).to(v.dtype)


def neighbor_probabilities(x: Tensor, fraction: float, bandwidth: float) -> Tensor:
    r"""Compute with which probability each vector picks another of the batch as its neighbour.

    Parameters
    ----------
    x : Tensor of shape (n, p), float32
        Vectors.
    fraction : float
        Which part of the others are neighbours: the :math:`k`-th nearest is the last of them, the
        first at least.
    bandwidth : float
        :math:`\beta`, in units of the difference of the squared distances of the :math:`k`-th and
        the first neighbour.

    Returns
    -------
    Tensor of shape (n, n), float32
        Probabilities :math:`p_{ij}`: rows add up to 1, the diagonal is 0.
    """
    distances = squared_distances(x).fill_diagonal_(math.inf)
    k = max(1, round(fraction * (len(x) - 1)))
    if x.device.type == "cpu":  # five times as fast as PyTorch's own on a processor
        last = torch.from_numpy(np.partition(distances.numpy(), k - 1, axis=1)[:, k - 1 : k])
    else:
        last = distances.kthvalue(k, dim=1, keepdim=True).values
    first = distances.amin(dim=1, keepdim=True)
    width = (bandwidth * (last - first)).clamp(min=_NARROWEST)
    return torch.softmax(distances.sub_(first).div_(-width), dim=1)


def code_probabilities(B: Tensor, tau: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Compute with which probability each code picks another of the batch as its neighbour.

    Parameters
    ----------
    B : Tensor of shape (n, r), float32
        Codes -1/+1.
    tau : Tensor of shape (), float32
        :math:`\tau`.

    Returns
    -------
    q : Tensor of shape (n, n), float32
        Probabilities :math:`q_{ij}`: rows add up to 1, the diagonal is 0.
    logits : Tensor of shape (n, n), float32
        :math:`\tau (r / 2 - h_{ij})`, 0 on the diagonal.
    log_sums : Tensor of shape (n,), float32
        Logarithms of the sums over :math:`j \ne i` of :math:`\exp(\tau (r / 2 - h_{ij}))`.
    """
    logits = (B @ B.T).mul_(tau / 2).fill_diagonal_(-math.inf)  # b_i.b_j = r - 2 h_ij
    q = torch.softmax(logits, dim=1)
    # For all j, q_ij = exp(logit_ij) / sum: the largest are far from underflow.
    log_sums = logits.amax(dim=1) - q.amax(dim=1).log()
    return q, logits.fill_diagonal_(0), log_sums


def matching_loss(P: Tensor, B: Tensor, tau: Tensor, pooled_weight: float) -> Tensor:
    r"""Compute how badly the neighbours of codes match those of vectors.

    Parameters
    ----------
    P : Tensor of shape (n, n), float32
        Probabilities :math:`p_{ij}`.
    B : Tensor of shape (n, r), float32
        Codes -1/+1.
    tau : Tensor of shape (), float32
        :math:`\tau`.
    pooled_weight : float
        :math:`\rho`.

    Returns
    -------
    Tensor of shape (), float32
        The objective.
    """
    _, logits, log_sums = code_probabilities(B, tau)
    return _matching_loss(P, logits, log_sums, pooled_weight)


def _matching_loss(P: Tensor, logits: Tensor, log_sums: Tensor, pooled_weight: float) -> Tensor:
    matched: Tensor = torch.linalg.vecdot(P, logits).mean()
    normaliser = (1 - pooled_weight) * log_sums.mean()
    pooled_normaliser = pooled_weight * (log_sums.logsumexp(dim=0) - math.log(len(P)))
    return normaliser + pooled_normaliser - matched


def matching_slopes(
    P: Tensor, B: Tensor, tau: Tensor, pooled_weight: float
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Compute how badly codes match probabilities, and where to move them.

    Parameters
    ----------
    P : Tensor of shape (n, n), float32
        Probabilities :math:`p_{ij}`.
    B : Tensor of shape (n, r), float32
        Codes -1/+1.
    tau : Tensor of shape (), float32
        :math:`\tau`.
    pooled_weight : float
        :math:`\rho`.

    Returns
    -------
    loss : Tensor of shape (), float32
        The objective.
    slope : Tensor of shape (n, r), float32
        For each bit half the difference of the loss between the bit at +1 and at -1, to second
        order: the slope less the bit times the curvature.
    slope_tau : Tensor of shape (), float32
        Derivative by :math:`\tau`.
    """
    n = len(B)
    q, logits, log_sums = code_probabilities(B, tau)
    loss = _matching_loss(P, logits, log_sums, pooled_weight)
    share = torch.softmax(log_sums, dim=0)[:, None]  # of row i in the sum over all pairs
    qB = q @ B
    # Q_ij = n share_i q_ij. What p lacks to the mixture of q and Q pulls the pair together.
    pull = torch.addcmul(P, q, (1 - pooled_weight) + (pooled_weight * n) * share, value=-1)
    pull += pull.T.contiguous()  # the copy is fast, to add across the rows is not
    pulled = pull @ B
    slope_tau = (pulled * B).sum() / (-4 * n)
    # A softmax's second derivative is the variance of what its logits change by: in row i by b_jk,
    # in row j where it picks i, and in the sum over all pairs in both.
    own = 1 - qB.square()
    picked = (q.sum(dim=0) - q.square_().sum(dim=0))[:, None]
    pooled = 2 * share - (2 * share * qB).square()
    curvature = (1 - pooled_weight) / n * (own + picked) + pooled_weight * pooled
    slope = pulled.mul_(-tau / (2 * n)).sub_((tau / 2) ** 2 * curvature * B)
    return loss, slope, slope_tau


def asymmetric_loss(P: Tensor, v: Tensor, B: Tensor, kappa: Tensor) -> Tensor:
    r"""Compute how badly the codes that real-valued queries find match neighbours.

    Parameters
    ----------
    P : Tensor of shape (n, n), float32
        Probabilities :math:`p_{ij}`.
    v : Tensor of shape (n, r), float32
        Values before the sign.
    B : Tensor of shape (n, r), float32
        Codes -1/+1.
    kappa : Tensor of shape (), float32
        :math:`\kappa`.

    Returns
    -------
    Tensor of shape (), float32
        The third part of the objective.
    """
    # kappa a_ij = kappa (|v_i|_1 - v_i.b_j) / 2, and what depends on i alone cancels.
    logits = (v @ B.T).mul_(kappa / 2)
    matched: Tensor = torch.linalg.vecdot(P, logits)
    log_sums = logits.fill_diagonal_(-math.inf).logsumexp(dim=1)
    return (log_sums - matched).mean()


def asymmetric_slopes(
    P: Tensor, v: Tensor, B: Tensor, kappa: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""Compute how badly the codes that real-valued queries find match, and where to move both.

    Parameters
    ----------
    P : Tensor of shape (n, n), float32
        Probabilities :math:`p_{ij}`.
    v : Tensor of shape (n, r), float32
        Values before the sign.
    B : Tensor of shape (n, r), float32
        Codes -1/+1.
    kappa : Tensor of shape (), float32
        :math:`\kappa`.

    Returns
    -------
    loss : Tensor of shape (), float32
        The third part of the objective.
    slope_v : Tensor of shape (n, r), float32
        Its derivative by the values.
    slope_B : Tensor of shape (n, r), float32
        Its derivative by the bits, as if they were real.
    slope_kappa : Tensor of shape (), float32
        Its derivative by :math:`\kappa`.
    """
    products = v @ B.T
    logits = products * (kappa / 2)
    matched = torch.linalg.vecdot(P, logits)
    logits.fill_diagonal_(-math.inf)
    log_sums = logits.logsumexp(dim=1, keepdim=True)
    loss = (log_sums[:, 0] - matched).mean()
    pull = logits.sub_(log_sums).exp_().sub_(P).div_(len(P))  # (r_ij - p_ij) / n
    slope_kappa = torch.linalg.vecdot(pull, products).sum() / 2
    return loss, (pull @ B).mul_(kappa / 2), (pull.T @ v).mul_(kappa / 2), slope_kappa
