"""What vectors can be compressed to, each trained, filled and searched the same way."""

from abc import ABC, abstractmethod
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from hashlearn.codes import n_bytes
from hashlearn.engine import available_threads
from hashlearn.hashers import get_method
from hashlearn.hashers.base import FloatArray, LinearHasher
from hashlearn.models import Model, hasher_of
from hashlearn.vectorindex import Ranking, VectorIndex

_RABITQ_FACTORS = 8  # bytes that faiss keeps of a vector besides its bits
_TRAINING_ROWS = 1 << 16
"""Vectors that faiss learns from; it would not use more by itself."""


class Contestant(ABC):
    """Compress vectors and find neighbours among what is left of them.

    Parameters
    ----------
    name : str
        What people read.
    bytes_per_vector : int
        Bytes that it keeps of a vector.
    rankings : tuple of str
        Ways in which it can rank.
    """

    def __init__(self, name: str, bytes_per_vector: int, rankings: tuple[str, ...]) -> None:
        self.name = name
        self.bytes_per_vector = bytes_per_vector
        self.rankings = rankings

    @abstractmethod
    def train(self, X: FloatArray, random_state: int) -> None:
        """Learn from vectors.

        Parameters
        ----------
        X : ndarray of shape (n, d), float32
            Vectors.
        random_state : int
            Seed.
        """

    @abstractmethod
    def add(self, X: FloatArray) -> None:
        """Keep vectors.

        Parameters
        ----------
        X : ndarray of shape (n, d), float32
            Vectors.
        """

    @abstractmethod
    def search(self, queries: FloatArray, k: int, ranking: str) -> NDArray[np.int64]:
        """Find the nearest of the vectors that are kept.

        Parameters
        ----------
        queries : ndarray of shape (q, d), float32
            Vectors.
        k : int
            How many to find.
        ranking : str
            One of `rankings`.

        Returns
        -------
        ndarray of shape (q, k), int64
            Their numbers in the order in which they were added; -1 where there are too few.
        """


class Codes(Contestant):
    """Compress vectors to the codes of a hasher.

    Parameters
    ----------
    name : str
        What people read.
    hasher : Hasher or Pipeline
        Model, fitted or not.
    rankings : tuple of str, default=("hamming", "values/100", "values")
        Rankings of :class:`~hashlearn.VectorIndex`. A number behind it is that of the candidates:
        ``"values/100"`` re-ranks the 100 nearest codes, ``"values"`` ranks all. ``"factors"`` keeps
        8 bytes of a vector more, which `bytes_per_vector` does not count.
    is_fitted : bool, default=False
        Whether the model is fitted already.
    """

    def __init__(
        self,
        name: str,
        hasher: Model,
        rankings: tuple[str, ...] = ("hamming", "values/100", "values"),
        *,
        is_fitted: bool = False,
    ) -> None:
        super().__init__(name, n_bytes(hasher_of(hasher).n_bits), rankings)
        self.hasher = hasher
        self._is_fitted = is_fitted
        self._vectors: VectorIndex | None = None

    @property
    def vectors(self) -> VectorIndex:
        """The vectors that are kept, under their codes."""
        if self._vectors is None:
            self._vectors = VectorIndex(self.hasher, factors="factors" in str(self.rankings))
        return self._vectors

    def train(self, X: FloatArray, random_state: int) -> None:  # noqa: D102 - inherited
        if not self._is_fitted:
            hasher_of(self.hasher).set_params(random_state=random_state)
            self.hasher.fit(X)
        self._vectors = None  # codes of what was learned before

    def add(self, X: FloatArray) -> None:  # noqa: D102 - inherited
        self.vectors.add(X)

    def search(  # noqa: D102 - inherited
        self, queries: FloatArray, k: int, ranking: str
    ) -> NDArray[np.int64]:
        name, _, n_candidates = ranking.partition("/")
        return self.vectors.search(
            queries,
            k,
            ranking=cast(Ranking, name),
            n_candidates=int(n_candidates) if n_candidates else None,
        ).ids


class Quantizer(Contestant):
    """Compress vectors by an index of faiss.

    Parameters
    ----------
    name : str
        What people read.
    factory : str
        What faiss' ``index_factory`` takes.
    bytes_per_vector : int
        Bytes that it keeps of a vector.
    n_parts : int, default=1
        Vectors are padded with zeros to a multiple of so many entries.

    Raises
    ------
    ImportError
        If faiss is not installed.
    """

    def __init__(self, name: str, factory: str, bytes_per_vector: int, n_parts: int = 1) -> None:
        super().__init__(name, bytes_per_vector, ("estimate",))
        self._faiss = _import_faiss()
        self._factory = factory
        self._n_parts = n_parts
        self._index: Any = None

    def _padded(self, X: FloatArray) -> FloatArray:
        return np.pad(X, ((0, 0), (0, -X.shape[1] % self._n_parts))).astype(np.float32)

    def train(self, X: FloatArray, random_state: int) -> None:  # noqa: D102 - inherited
        if len(X) > _TRAINING_ROWS:
            X = X[check_random_state(random_state).choice(len(X), _TRAINING_ROWS, replace=False)]
        X = self._padded(X)
        # Learning is very many short loops, whose threads wait for one another by spinning: on a
        # machine that does other work, two take minutes where one takes seconds.
        self._faiss.omp_set_num_threads(1)
        self._index = self._faiss.index_factory(X.shape[1], self._factory)
        self._index.train(X)

    def add(self, X: FloatArray) -> None:  # noqa: D102 - inherited
        self._faiss.omp_set_num_threads(available_threads())
        self._index.add(self._padded(X))

    def search(  # noqa: D102 - inherited
        self, queries: FloatArray, k: int, ranking: str
    ) -> NDArray[np.int64]:
        del ranking  # there is one
        self._faiss.omp_set_num_threads(available_threads())
        ids: NDArray[np.int64] = self._index.search(self._padded(queries), k)[1]
        return ids


class Sign(LinearHasher):
    """Threshold the first entries of vectors at zero, as stores do without learning.

    Parameters
    ----------
    n_bits : int
        Length of the code, at most the number of features.
    random_state : object, default=None
        Not used.
    """

    def __init__(self, n_bits: int, *, random_state: Any = None) -> None:
        self.n_bits = n_bits
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,  # noqa: ARG002
    ) -> None:
        if self.n_bits > X.shape[1]:
            raise ValueError(f"there are {X.shape[1]} entries for {self.n_bits} bits")
        self.weights_ = np.eye(self.n_bits, X.shape[1], dtype=np.float32)
        self.bias_ = np.zeros(self.n_bits, np.float32)

    def _project(self, X: FloatArray) -> FloatArray:
        return np.ascontiguousarray(X[:, : self.n_bits])


def baselines(n_bits: int, n_features: int, *, rotated: bool = True) -> list[Contestant]:
    """Make what learned codes of a length are compared with.

    Parameters
    ----------
    n_bits : int
        Length of the codes; all others keep as many bytes of a vector, or fewer.
    n_features : int
        Entries of a vector.
    rotated : bool, default=True
        Whether product quantisation with a learned rotation is among them, which takes longest.

    Returns
    -------
    list of Contestant
        Signs of the first entries and of principal components, ITQ; and, where faiss is installed,
        RaBitQ and product quantisation.
    """
    made: list[Contestant] = []
    if n_bits <= n_features:
        itq = get_method("itq")
        made += [
            Codes("sign", Sign(n_bits)),
            Codes("PCA-sign", itq(n_bits, rotation="identity")),
            Codes("ITQ", itq(n_bits)),
        ]
    return [*made, *quantizers(n_bits, n_features, rotated=rotated)]


def quantizers(n_bits: int, n_features: int, *, rotated: bool = True) -> list[Contestant]:
    """Make faiss' quantisers of as many bytes as codes of a length.

    Parameters
    ----------
    n_bits : int
        Length of the codes.
    n_features : int
        Entries of a vector.
    rotated : bool, default=True
        Whether product quantisation with a learned rotation is among them.

    Returns
    -------
    list of Contestant
        RaBitQ of as many principal components as its 8 bytes of factors leave bits for, and product
        quantisation; none without faiss.
    """
    try:
        _import_faiss()
    except ImportError:
        return []
    size = n_bytes(n_bits)
    made: list[Contestant] = []
    n_kept = 8 * min(size - _RABITQ_FACTORS, n_features // 8)
    if n_kept > 0:
        made.append(Quantizer("RaBitQ", f"PCAR{n_kept},RaBitQ", n_kept // 8 + _RABITQ_FACTORS))
    if size <= n_features:
        # "np": without an order of the centroids that only polysemous search uses, and that
        # takes most of the time
        made.append(Quantizer("PQ", f"PQ{size}x8np", size, size))
        if rotated:
            made.append(Quantizer("OPQ", f"OPQ{size},PQ{size}x8np", size, size))
    return made


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ImportError("quantisers need faiss: pip install 'hashlearn[faiss]'") from error
    return faiss
