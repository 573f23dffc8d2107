"""STTM: semantic hashing using tags and topic modeling."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.decomposition import PCA, LatentDirichletAllocation
from sklearn.linear_model import Ridge
from sklearn.utils import check_scalar

from hashlearn.hashers.base import FloatArray, LinearHasher
from hashlearn.linear import linear_values

Array = NDArray[np.float64]

_BLOCK_ENTRIES = 1 << 22


class STTM(LinearHasher):
    r"""Hash texts so that codes explain their tags and stay near their topics.

    Each of :math:`n` documents gets a vector :math:`y_j` of as many numbers as there are bits, and
    each of :math:`m` tags a vector :math:`u_i`, such that their product says whether the document
    has the tag, and the document stays near its topics :math:`\theta_j` [1]_:

    .. math:: \min_{U, Y} \sum_{ij} C_{ij} (T_{ij} - u_i^T y_j)^2
              + \alpha \|U\|_F^2 + \gamma \|Y - \Theta\|_F^2.

    :math:`T_{ij} = 1` if document :math:`j` has tag :math:`i` and 0 otherwise. The confidence
    :math:`C_{ij}` is :math:`a` for a tag that is there, :math:`b` for one that is absent (it may
    have been forgotten), and 0 for all tags of an untagged document, which thereby has only its
    topics: :math:`y_j = \theta_j`. Given the documents, each tag is a ridge regression; given the
    tags, each document is one. Both have a closed form, so the objective never rises.

    The hash function of new documents is the ridge regression of :math:`Y` on the documents'
    vectors, and each bit tells on which side of the median a document lies.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code and number of topics.
    topics : {"auto", "lda", "pca"}, default="auto"
        Where :math:`\Theta` comes from: topics of latent Dirichlet allocation, for counts of words,
        or principal components, for vectors (such as shares of topics; there they are the same up
        to a rotation if there are `n_bits`). ``"auto"`` takes the first for sparse vectors. Paper:
        LDA.
    tag_weight : float, default=1.0
        Confidence :math:`a`. Paper: 1.
    absent_weight : float, default=0.01
        Confidence :math:`b`, larger where tags are complete. Paper: 0.01.
    alpha : float, default=1.0
        Weight of the size of the tags' vectors, above 0, in units of the mean number of documents
        that have a tag. Larger values make these vectors shorter and so the part of a document's
        vector that its tags explain longer: they help with many bits, and silence rare tags.
    gamma : float, default=0.0001
        Weight of the topics, above 0. Larger values keep documents nearer to their topics.
    ridge : float, default=1.0
        Penalty of the hash function's weights, above 0, in units of the mean squared distance of
        vectors from their mean.
    n_iter : int, default=10
        Rounds of alternation.
    thresholds : {"median", "mean"}, default="median"
        Where a bit changes: so that each halves the training documents, or at their mean.
        Paper: median.
    rotate : bool, default=True
        Whether the axes of :math:`\Theta` are turned at random. The objective is the same, but no
        bit stands for one topic that few documents have.
    smoothing : float, default=0.0
        With which share of :math:`P(i | i')` a document that has tag :math:`i'` is taken to have
        an absent tag :math:`i`, 0 to 1. Paper: 0.
    learn_confidence : bool, default=False
        Whether tags get confidences of their own, in proportion to how well they are explained.
    random_state : int, RandomState instance or None, default=None
        Seed of the topics and of the rotation.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        Hash functions.
    bias_ : ndarray of shape (n_bits,), float32
        Minus the thresholds.
    tag_vectors_ : ndarray of shape (n_tags, n_bits), float32
        :math:`U`, in the axes of the bits: the values of a document, plus its threshold, times
        these are how likely it is to have each tag.
    tag_confidences_ : ndarray of shape (n_tags,), float32
        What :math:`C` of each tag is multiplied with: ones unless they are learned.
    losses_ : ndarray of shape (1 + n_iter * n_steps,), float64
        Objective at the start (:math:`U = 0`, :math:`Y = \Theta`) and after each half of each
        round; 3 steps a round if confidences are learned. It never rises.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    Labels are a 0/1 matrix (n, n_tags), in which a row of zeros is an untagged document, or class
    numbers, each a tag, -1 for an untagged document.

    Differences from the paper, or what it leaves open:

    1. :math:`\Theta` is centred and divided by its standard deviation, so that :math:`\gamma`
       means the same for any number of topics. The paper takes shares as they are.
    2. The axes are turned (`rotate`). Without it a bit is one topic, that most documents lack.
    3. Training documents are hashed by the hash function, not by their own :math:`y_j`, so that
       equal documents have equal codes.
    4. :math:`\alpha` is measured by the documents of a tag, so that it means the same for few and
       for many. Its default was chosen on texts of the train parts of Reuters-21578 and 20
       Newsgroups.
    5. `smoothing` and `learn_confidence` are not in the paper. The latter weighs tag :math:`i` by
       :math:`p_i`, of geometric mean 1, and adds :math:`\sum_i p_i` to the objective, which keeps
       rare tags from weighing without bound: :math:`p_i \propto 1 / (1 + \sum_j C_{ij} (T_{ij} -
       u_i^T y_j)^2)`.

    The paper was not at hand; constants and the hash function are as recalled. It has no public
    code. Documents with the same tags share a matrix, so a round takes O(n r^2 + P m r^2 + P r^3)
    for P different sets of tags. The regression takes O(n d^2 + d^3) for dense vectors, and time
    in proportion to the entries for sparse ones, which are never made dense.

    References
    ----------
    .. [1] Q. Wang, D. Zhang and L. Si, 2013, "Semantic hashing using tags and topic modeling",
       SIGIR.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 4, 200)
    >>> X = rng.normal(size=(200, 8)) + 3 * np.eye(4, 8)[y]
    >>> hasher = STTM(n_bits=4, random_state=0).fit(X, y)
    >>> bool((np.diff(hasher.losses_) <= 0).all())
    True
    """

    supervised = True
    accepts_sparse = True

    tag_vectors_: FloatArray
    tag_confidences_: FloatArray
    losses_: Array

    def __init__(
        self,
        n_bits: int = 32,
        *,
        topics: Literal["auto", "lda", "pca"] = "auto",
        tag_weight: float = 1.0,
        absent_weight: float = 0.01,
        alpha: float = 1.0,
        gamma: float = 1e-4,
        ridge: float = 1.0,
        n_iter: int = 10,
        thresholds: Literal["median", "mean"] = "median",
        rotate: bool = True,
        smoothing: float = 0.0,
        learn_confidence: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.topics = topics
        self.tag_weight = tag_weight
        self.absent_weight = absent_weight
        self.alpha = alpha
        self.gamma = gamma
        self.ridge = ridge
        self.n_iter = n_iter
        self.thresholds = thresholds
        self.rotate = rotate
        self.smoothing = smoothing
        self.learn_confidence = learn_confidence
        self.random_state = random_state

    def _fit(self, X: Any, y: NDArray[Any] | None, rng: np.random.RandomState) -> None:
        assert y is not None  # the base asks for it
        self._check_parameters()
        T = tag_matrix(y)
        tags = make_tags(T, self.tag_weight, self.absent_weight, self.smoothing)
        Theta = self._topics(X, rng)
        if self.rotate:
            Theta = Theta @ np.linalg.qr(rng.standard_normal((self.n_bits, self.n_bits)))[0]
        alpha = self.alpha * documents_of_a_tag(T)
        U, Y, confidences, self.losses_ = factorise(
            tags, Theta, alpha, self.gamma, self.n_iter, learn_confidence=self.learn_confidence
        )
        self.tag_vectors_ = U.astype(np.float32)
        self.tag_confidences_ = confidences.astype(np.float32)
        self.weights_ = regress(X, Y, self.ridge).astype(np.float32)
        values = linear_values(X, self.weights_, np.zeros(self.n_bits, np.float32))
        middle = np.median if self.thresholds == "median" else np.mean
        self.bias_ = -np.asarray(middle(values.astype(np.float64), axis=0), dtype=np.float32)

    def _check_parameters(self) -> None:
        for name, allowed in (
            ("topics", ("auto", "lda", "pca")),
            ("thresholds", ("median", "mean")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}"
                )
        for name in ("tag_weight", "alpha", "gamma", "ridge"):
            check_scalar(getattr(self, name), name, Real, min_val=0, include_boundaries="neither")
        check_scalar(self.absent_weight, "absent_weight", Real, min_val=0)
        check_scalar(self.smoothing, "smoothing", Real, min_val=0, max_val=1)
        check_scalar(self.n_iter, "n_iter", Integral, min_val=1)

    def _topics(self, X: Any, rng: np.random.RandomState) -> Array:
        """Give each document its topics, centred, with variance 1 over all."""
        kind = self.topics
        if kind == "auto":
            kind = "lda" if issparse(X) else "pca"
        if kind == "lda":
            if X.min() < 0:
                raise ValueError(f'topics="lda" needs counts, at least 0; got {X.min()}')
            seed = rng.randint(np.iinfo(np.int32).max)
            model = LatentDirichletAllocation(self.n_bits, max_iter=5, random_state=seed)
        else:
            if self.n_bits > min(X.shape):
                raise ValueError(
                    'with topics="pca" STTM takes at most as many bits as there are features and '
                    f"samples: n_bits={self.n_bits}, n_features={X.shape[1]}, "
                    f"n_samples={X.shape[0]}"
                )
            model = PCA(self.n_bits, svd_solver="arpack" if issparse(X) else "covariance_eigh")
        with np.errstate(invalid="ignore"):  # constant vectors have no share of variance
            Theta = np.asarray(model.fit_transform(X), dtype=np.float64)
        Theta -= Theta.mean(axis=0)
        return np.asarray(Theta / (Theta.std() or 1.0))


@dataclass(frozen=True, eq=False)
class Tags:
    """Hold what documents should say about tags; documents with the same tags share it.

    Parameters
    ----------
    targets : ndarray of shape (n_sets, n_tags), float64
        :math:`T` of each set of tags.
    confidences : ndarray of shape (n_sets, n_tags), float64
        :math:`C` of each set of tags.
    sets : ndarray of shape (n,), int64
        Set of each document.
    """

    targets: Array
    confidences: Array
    sets: NDArray[np.int64]


def tag_matrix(y: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn labels into one column a tag.

    Parameters
    ----------
    y : ndarray of shape (n,), int; or (n, n_tags), 0/1
        Class numbers, -1 for an untagged document; or a column a tag, a row of zeros for an
        untagged document.

    Returns
    -------
    ndarray of shape (n, n_tags), uint8
        1 where a document has a tag. Class numbers that do not occur have no column.

    Raises
    ------
    ValueError
        If labels are not whole numbers, class numbers are below -1, or columns hold other numbers
        than 0 and 1.

    Examples
    --------
    >>> tag_matrix(np.array([5, -1, 2])).tolist()
    [[0, 1], [0, 0], [1, 0]]
    """
    if y.dtype.kind not in "bui" and not (y.dtype.kind == "f" and (y == np.floor(y)).all()):
        raise ValueError(f"Unknown label type: tags must be whole numbers, got {y.dtype}")
    if y.ndim == 1:
        if y.min() < -1:
            raise ValueError(f"class numbers are 0 or larger, or -1 without one; got {y.min()}")
        return np.asarray(y[:, None] == np.unique(y[y >= 0]), dtype=np.uint8)
    if not ((y == 0) | (y == 1)).all():
        raise ValueError("tags of the shape (n, n_tags) must be 0 or 1")
    return y.astype(np.uint8)


def documents_of_a_tag(T: NDArray[np.uint8]) -> float:
    """Count the documents that have a tag, on average over the tags that occur.

    Parameters
    ----------
    T : ndarray of shape (n, n_tags), uint8
        1 where a document has a tag.

    Returns
    -------
    float
        Documents a tag; 1 if there is no tag.

    Examples
    --------
    >>> documents_of_a_tag(np.uint8([[1, 1, 0], [1, 0, 0], [0, 0, 0]]))
    1.5
    """
    counts = T.sum(axis=0, dtype=np.int64)
    return float(counts[counts > 0].mean()) if counts.any() else 1.0


def make_tags(T: NDArray[np.uint8], a: float, b: float, smoothing: float = 0.0) -> Tags:
    r"""Say with what confidence each document has which tags.

    Parameters
    ----------
    T : ndarray of shape (n, n_tags), 0/1
        Tags; a row of zeros is an untagged document.
    a : float
        Confidence in a tag that is there.
    b : float
        Confidence in the absence of one that is not.
    smoothing : float, default=0.0
        Absent tag :math:`i` gets the target ``smoothing`` times the largest :math:`P(i | i')` of
        the document's tags :math:`i'`, and a confidence in between in proportion.

    Returns
    -------
    Tags
        Targets and confidences.

    Examples
    --------
    >>> make_tags(np.array([[1, 0], [0, 0], [1, 0]]), 1.0, 0.01).confidences.tolist()
    [[0.0, 0.0], [1.0, 0.01]]
    """
    _, first, sets = np.unique(
        np.packbits(T, axis=1), axis=0, return_index=True, return_inverse=True
    )
    targets = T[first].astype(np.float64)
    if smoothing:
        counts = T.T.astype(np.float64) @ T
        given = smoothing * counts / np.maximum(counts.diagonal(), 1.0)[:, None]
        for row in targets:  # a set of tags, not a document
            if row.any():
                np.maximum(row, given[row == 1].max(axis=0), out=row)
    confidences = (b + (a - b) * targets) * targets.any(axis=1, keepdims=True)
    return Tags(targets, confidences, sets.reshape(-1).astype(np.int64))


def factorise(
    tags: Tags, Theta: Array, alpha: float, gamma: float, n_iter: int, *, learn_confidence: bool
) -> tuple[Array, Array, Array, Array]:
    """Alternate between tags and documents.

    Parameters
    ----------
    tags : Tags
        Targets and confidences.
    Theta : ndarray of shape (n, r), float64
        Topics of the documents.
    alpha : float
        Weight of the size of the tags' vectors.
    gamma : float
        Weight of the topics.
    n_iter : int
        Rounds.
    learn_confidence : bool
        Whether tags get confidences of their own.

    Returns
    -------
    U : ndarray of shape (n_tags, r), float64
        Vectors of tags.
    Y : ndarray of shape (n, r), float64
        Vectors of documents.
    confidences : ndarray of shape (n_tags,), float64
        What the confidences of each tag are multiplied with.
    losses : ndarray of shape (1 + n_iter * n_steps,), float64
        Objective at the start and after each step; it never rises.
    """
    order = np.argsort(tags.sets, kind="stable")  # documents of one set come together
    given = tags = replace(tags, sets=tags.sets[order])
    Theta = Theta[order]
    U, Y, p = (
        np.zeros((tags.targets.shape[1], Theta.shape[1])),
        Theta,
        np.ones(tags.targets.shape[1]),
    )

    def loss() -> float:
        # constant unless confidences are learned
        prior = p.sum() if learn_confidence else 0.0
        return objective(tags, U, Y, Theta, alpha, gamma) + float(prior)

    losses = [loss()]
    for _ in range(n_iter):
        U = solve_tags(tags, Y, alpha)
        losses.append(loss())
        Y = solve_documents(tags, U, Theta, gamma)
        losses.append(loss())
        if learn_confidence:
            p = solve_confidences(given, U, Y)
            tags = replace(given, confidences=given.confidences * p)
            losses.append(loss())
    unsorted = np.empty_like(Y)
    unsorted[order] = Y
    return U, unsorted, p, np.array(losses)


def objective(tags: Tags, U: Array, Y: Array, Theta: Array, alpha: float, gamma: float) -> float:
    r"""Compute what is minimised.

    Parameters
    ----------
    tags : Tags
        Targets :math:`T` and confidences :math:`C`.
    U : ndarray of shape (n_tags, r), float64
        Vectors of tags.
    Y : ndarray of shape (n, r), float64
        Vectors of documents.
    Theta : ndarray of shape (n, r), float64
        Topics of documents.
    alpha : float
        Weight of the size of `U`.
    gamma : float
        Weight of the topics.

    Returns
    -------
    float
        :math:`\sum_{ij} C_{ij} (T_{ij} - u_i^T y_j)^2 + \alpha \|U\|_F^2 +
        \gamma \|Y - \Theta\|_F^2`.
    """
    errors = tag_errors(tags, U, Y).sum()
    return float(errors + alpha * np.square(U).sum() + gamma * np.square(Y - Theta).sum())


def tag_errors(tags: Tags, U: Array, Y: Array) -> Array:
    r"""Compute how badly each tag is explained.

    Parameters
    ----------
    tags : Tags
        Targets :math:`T` and confidences :math:`C`.
    U : ndarray of shape (n_tags, r), float64
        Vectors of tags.
    Y : ndarray of shape (n, r), float64
        Vectors of documents.

    Returns
    -------
    ndarray of shape (n_tags,), float64
        :math:`\sum_j C_{ij} (T_{ij} - u_i^T y_j)^2`.
    """
    errors = np.zeros(len(U))
    for block in _blocks(len(Y), max(1, len(U))):
        sets = tags.sets[block]
        errors += (tags.confidences[sets] * (tags.targets[sets] - Y[block] @ U.T) ** 2).sum(axis=0)
    return errors


def solve_tags(tags: Tags, Y: Array, alpha: float) -> Array:
    r"""Find the best vectors of tags for given documents.

    Parameters
    ----------
    tags : Tags
        Targets :math:`T` and confidences :math:`C`.
    Y : ndarray of shape (n, r), float64
        Vectors of documents.
    alpha : float
        Weight of the size of the result.

    Returns
    -------
    ndarray of shape (n_tags, r), float64
        :math:`u_i = (\sum_j C_{ij} y_j y_j^T + \alpha I)^{-1} \sum_j C_{ij} T_{ij} y_j`.
    """
    n_tags, r = tags.targets.shape[1], Y.shape[1]
    grams, sums = np.zeros((n_tags, r * r)), np.zeros((n_tags, r))
    for block in _blocks(len(Y), r * r):
        part, sets = Y[block], tags.sets[block]
        starts = np.flatnonzero(np.diff(sets, prepend=-1))
        C = tags.confidences[sets[starts]].T
        products = (part[:, :, None] * part[:, None, :]).reshape(len(part), r * r)
        grams += C @ np.add.reduceat(products, starts)
        sums += (C * tags.targets[sets[starts]].T) @ np.add.reduceat(part, starts)
    A = grams.reshape(n_tags, r, r) + alpha * np.eye(r)
    return np.asarray(np.linalg.solve(A, sums[:, :, None])[:, :, 0])


def solve_documents(tags: Tags, U: Array, Theta: Array, gamma: float) -> Array:
    r"""Find the best vectors of documents for given tags.

    Parameters
    ----------
    tags : Tags
        Targets :math:`T` and confidences :math:`C`.
    U : ndarray of shape (n_tags, r), float64
        Vectors of tags.
    Theta : ndarray of shape (n, r), float64
        Topics of documents.
    gamma : float
        Weight of the topics.

    Returns
    -------
    ndarray of shape (n, r), float64
        :math:`y_j = (\sum_i C_{ij} u_i u_i^T + \gamma I)^{-1} (\sum_i C_{ij} T_{ij} u_i +
        \gamma \theta_j)`.
    """
    r = Theta.shape[1]
    products = (U[:, :, None] * U[:, None, :]).reshape(len(U), r * r)
    Y = np.empty_like(Theta)
    for block in _blocks(len(Y), r * r):
        sets = tags.sets[block]
        starts = np.flatnonzero(np.diff(sets, prepend=-1))
        run = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(sets)))
        C, T = tags.confidences[sets[starts]], tags.targets[sets[starts]]
        inverses = np.linalg.inv((C @ products).reshape(-1, r, r) + gamma * np.eye(r))
        right = ((C * T) @ U)[run] + gamma * Theta[block]
        Y[block] = np.matmul(inverses[run], right[:, :, None])[:, :, 0]
    return Y


def solve_confidences(tags: Tags, U: Array, Y: Array) -> Array:
    r"""Find the best confidences of tags, of geometric mean 1.

    Parameters
    ----------
    tags : Tags
        Targets and confidences before they are multiplied.
    U : ndarray of shape (n_tags, r), float64
        Vectors of tags.
    Y : ndarray of shape (n, r), float64
        Vectors of documents.

    Returns
    -------
    ndarray of shape (n_tags,), float64
        The minimum of :math:`\sum_i p_i (e_i + 1)` under :math:`\prod_i p_i = 1`, with
        :math:`e_i` the errors: :math:`p_i \propto 1 / (e_i + 1)`.
    """
    scales = np.log1p(tag_errors(tags, U, Y))
    return np.asarray(np.exp(scales.mean() - scales)) if len(scales) else np.ones(0)


def regress(X: Any, Y: Array, ridge: float) -> Array:
    r"""Find the linear functions of documents' vectors that come nearest to `Y`.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d), float32
        Documents' vectors.
    Y : ndarray of shape (n, r), float64
        What to come near to.
    ridge : float
        Penalty, in units of the mean squared distance of the rows of `X` from their mean.

    Returns
    -------
    ndarray of shape (r, d), float64
        Weights :math:`W` that minimise :math:`\|Y - X W^T - 1 c^T\|_F^2 + \lambda \|W\|_F^2`,
        with :math:`c` free.
    """
    mean = np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
    if issparse(X):
        rows = X.astype(np.float64)
        spread = rows.multiply(rows).sum() / len(Y) - mean @ mean
        model = Ridge(ridge * (spread if spread > 0 else 1.0), solver="sparse_cg")
        return np.asarray(model.fit(rows, Y).coef_)
    gram, products = np.zeros((len(mean), len(mean))), np.zeros((len(mean), Y.shape[1]))
    for block in _blocks(len(Y), len(mean)):
        part = X[block] - mean
        gram += part.T @ part
        products += part.T @ Y[block]
    spread = np.trace(gram) / len(Y)
    gram[np.diag_indices_from(gram)] += ridge * (spread if spread > 0 else 1.0)
    return np.asarray(np.linalg.solve(gram, products).T)


def _blocks(n_rows: int, entries: int) -> Iterator[slice]:
    """Divide rows into blocks that take little memory at so many entries a row."""
    rows = max(1, _BLOCK_ENTRIES // entries)
    return (slice(start, start + rows) for start in range(0, n_rows, rows))
