"""Vectors under their codes: found by Hamming distance, ranked by real-valued queries."""

import os
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn import models
from hashlearn.codes import n_bytes, pack_bits, unpack_bits
from hashlearn.engine import available_threads
from hashlearn.hashers.base import Hasher
from hashlearn.index import HammingIndex
from hashlearn.index.bitmaps import as_bitmap
from hashlearn.index.weighted import nearest_weighted
from hashlearn.models import Model, hasher_of
from hashlearn.originals import Kept, Originals
from hashlearn.results import NO_ID, Neighbors
from hashlearn.storage import making_folder, read_arrays, write_arrays

Ranking = Literal["hamming", "values", "factors", "exact"]
RANKINGS: tuple[Ranking, ...] = ("hamming", "values", "factors", "exact")
"""Orders in which found vectors may come."""

FloatArray = NDArray[np.float32]

_MODEL, _INDEX, _FACTORS, _ORIGINALS = (
    "hasher.model", "codes.index", "factors.safetensors", "originals.safetensors",
)  # fmt: skip
_KIND = "correction factors"
_CANDIDATES = 10, 100
"""Exact re-ranking chooses from so many vectors for each wanted one, from so many at least."""


def correction_factors(values: ArrayLike) -> FloatArray:
    r"""Compute what makes up for the lengths and angles that bits do not keep.

    For the values before the sign :math:`v` of a vector and the signs :math:`s`, the inner product
    with the values :math:`u` of a query is estimated as in RaBitQ [1]_:

    .. math:: u^T v \approx \gamma \, u^T s, \qquad \gamma = \|v\|_2^2 / \|v\|_1,

    which is exact for :math:`u = v`, and unbiased for values that are rotated at random. The
    squared distance is then :math:`\|u\|_2^2 + \|v\|_2^2 - 2 \gamma \, u^T s`.

    Parameters
    ----------
    values : array-like of shape (n, n_bits), float
        Values before the sign.

    Returns
    -------
    ndarray of shape (n, 2), float32
        :math:`\gamma` and :math:`\|v\|_2^2` of each vector.

    Notes
    -----
    In the paper :math:`v` is a vector less its centre, rotated at random. Here it is what the
    hasher projects to: with the principal directions, or learned ones, distances are those in
    their space.

    References
    ----------
    .. [1] J. Gao and C. Long, 2024, "RaBitQ: quantizing high-dimensional vectors with a theoretical
       error bound for approximate nearest neighbor search", SIGMOD.

    Examples
    --------
    >>> correction_factors([[3.0, -4.0], [0.0, 0.0]])
    array([[ 3.5714285, 25.       ],
           [ 0.       ,  0.       ]], dtype=float32)
    """
    v = np.asarray(values, dtype=np.float64)
    squares, sums = np.square(v).sum(axis=1), np.abs(v).sum(axis=1)
    gains = np.divide(squares, sums, out=np.zeros_like(sums), where=sums > 0)
    return np.stack([gains, squares], axis=1).astype(np.float32)


class VectorIndex:
    """Find the nearest vectors by their codes.

    Vectors are numbered in the order in which they are added. Of each the packed code is kept,
    with `factors` 8 bytes more, and with `originals` the vector itself in fewer bits.

    Parameters
    ----------
    hasher : Hasher or Pipeline
        Fitted model that makes the codes.
    factors : bool, default=False
        Whether correction factors are kept, for the ranking ``"factors"``.
    originals : {"float32", "float16", "int8"} or None, default=None
        How the vectors themselves are kept, for the ranking ``"exact"``; None keeps none.
    threads : int or None, default=None
        Threads of a search; None takes every processor.

    Examples
    --------
    >>> import hashlearn
    >>> X = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    >>> hasher = hashlearn.get_method("itq")(16, random_state=0).fit(X)
    >>> vectors = VectorIndex(hasher, originals="float16")
    >>> vectors.add(X)
    >>> vectors.search(X[:2], k=1, ranking="exact").ids
    array([[0],
           [1]])
    """

    def __init__(
        self,
        hasher: Model,
        *,
        factors: bool = False,
        originals: Kept | None = None,
        threads: int | None = None,
    ) -> None:
        self.hasher = hasher
        self.index = HammingIndex(hasher_of(hasher).n_bits, threads)
        self._threads = threads
        self._factors = [np.empty((0, 2), np.float32)] if factors else None
        self._originals = None if originals is None else Originals(originals)

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        bits = self.index.n_bits
        return f"<VectorIndex of {len(self)} vectors, {bits} bits; ranks by {self.rankings}>"

    @property
    def rankings(self) -> tuple[Ranking, ...]:
        """Rankings that the index can give."""
        given = {
            "factors": self._factors is not None,
            "exact": self._originals is not None,
        }
        return tuple(ranking for ranking in RANKINGS if given.get(ranking, True))

    @property
    def bytes_per_vector(self) -> int:
        """Bytes kept in memory for each vector: its code and its factors."""
        return n_bytes(self.index.n_bits) + (0 if self._factors is None else 8)

    def add(self, X: ArrayLike) -> None:
        """Add vectors; they get the next numbers.

        Parameters
        ----------
        X : array-like of shape (n, d), float
            Vectors.

        Raises
        ------
        ValueError
            If they are not what the hasher takes. Nothing is added then.
        """
        rows = np.asarray(X)
        codes, values = self._encoded(rows, self._factors is not None)
        if self._originals is not None:
            self._originals.add(rows)
        if self._factors is not None:
            self._factors.append(correction_factors(values))
        self.index.add(codes)

    def _encoded(self, X: NDArray[Any], valued: bool) -> tuple[NDArray[np.uint8], FloatArray]:
        """Compute codes and, if they are wanted, the values before the sign."""
        if not valued:
            return models.encode(self.hasher, X), np.empty((0, 0), np.float32)
        values = models.project(self.hasher, X)
        if type(hasher_of(self.hasher)).transform is Hasher.transform:  # bits are signs
            return pack_bits(values >= 0), values
        return models.encode(self.hasher, X), values

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        ranking: Ranking = "values",
        n_candidates: int | None = None,
        mask: ArrayLike | None = None,
    ) -> Neighbors:
        r"""Find the nearest vectors of each query.

        `ranking` says in which order vectors come. It may be that of all vectors, or of candidates
        only: those whose codes are nearest in Hamming distance.

        Parameters
        ----------
        queries : array-like of shape (q, d), float
            Vectors.
        k : int
            How many to find.
        ranking : {"hamming", "values", "factors", "exact"}, default="values"
            By the Hamming distance of the codes; by the weighted distance to the query's values
            before the sign (:meth:`HammingIndex.search_values`); by the distance that correction
            factors estimate; or by the Euclidean distance to the vectors that were kept.
        n_candidates : int, default=None
            How many candidates there are, at least `k`. None ranks all vectors; only ``"exact"``
            then takes ten for each wanted vector, 100 at least, which are nearest by the query's
            values.
        mask : array-like of shape (n,), bool, or of shape (m,), int, default=None
            Vectors that may be found, as in :meth:`HammingIndex.search`.

        Returns
        -------
        Neighbors
            Numbers and Hamming distances of the vectors, best first; places without one hold -1.

        Raises
        ------
        ValueError
            If the queries are not what the hasher takes, a number is out of range, or the index
            does not have what the ranking needs.
        """
        if ranking not in self.rankings:
            raise ValueError(
                f"this index ranks by {', '.join(self.rankings)}; got ranking={ranking!r}"
            )
        if n_candidates is not None and n_candidates < k:
            raise ValueError(f"n_candidates must be at least k={k}, got {n_candidates}")
        rows = np.asarray(queries)
        codes, values = self._encoded(rows, ranking != "hamming")
        if ranking == "hamming":
            return self.index.search(codes, k, mask=mask)
        if n_candidates is None:
            if ranking == "values":
                return self.index.search_values(values, k, mask=mask)
            if ranking == "factors":
                return self._nearest_estimated(codes, values, k, mask)
            found = self.index.search_values(
                values, max(_CANDIDATES[0] * k, _CANDIDATES[1]), mask=mask
            )
        else:
            found = self.index.search(codes, n_candidates, mask=mask)
        if ranking == "values":
            ranked = self.index.rerank(values, found)
        elif ranking == "factors":
            ranked = _ordered(found, self._estimated(values, found.ids))
        else:
            ranked = _ordered(found, self._exact(rows, found.ids))
        return Neighbors(ranked.ids[:, :k], ranked.distances[:, :k])

    def _nearest_estimated(
        self, codes: NDArray[np.uint8], values: FloatArray, k: int, mask: ArrayLike | None
    ) -> Neighbors:
        """Search all vectors by the distances that correction factors estimate."""
        allowed = None
        if mask is not None:
            marks = np.zeros(len(self), dtype=bool)
            marks[np.asarray(mask)] = True
            allowed = as_bitmap(marks)
        gains, squares = np.ascontiguousarray(self.factors.T)
        stored = self.index.codes
        ids, _ = nearest_weighted(
            values, stored, k, gains=gains, offsets=squares, allowed=allowed,
            threads=self._threads or available_threads(),
        )  # fmt: skip
        distances = np.full(ids.shape, self.index.n_bits + 1, np.int32)
        rows, places = np.nonzero(ids != NO_ID)
        differing = np.bitwise_count(stored[ids[rows, places]] ^ codes[rows])
        distances[rows, places] = differing.sum(axis=1, dtype=np.int32)
        return Neighbors(ids, distances)

    def _estimated(self, values: FloatArray, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Estimate squared distances, less what depends on the query alone."""
        codes, factors = self.index.codes, self.factors
        distances = np.empty(ids.shape)
        for row, (u, found) in enumerate(zip(values.astype(np.float64), ids, strict=True)):
            signs = unpack_bits(codes[found], self.index.n_bits).astype(np.float64) * 2 - 1
            gains, squares = factors[found].T.astype(np.float64)
            distances[row] = squares - 2 * gains * (signs @ u)
        return distances

    def _exact(self, queries: NDArray[Any], ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute squared distances to the vectors that were kept."""
        if self._originals is None:
            raise ValueError("no originals are kept")
        distances = np.empty(ids.shape)
        for row, (query, found) in enumerate(zip(queries.astype(np.float64), ids, strict=True)):
            distances[row] = np.square(self._originals.rows(found) - query).sum(axis=1)
        return distances

    @property
    def factors(self) -> FloatArray:
        """Correction factors: shape (n, 2), float32.

        Raises
        ------
        ValueError
            If none are kept.
        """
        if self._factors is None:
            raise ValueError("no correction factors are kept; make the index with factors=True")
        if len(self._factors) > 1:
            self._factors = [np.concatenate(self._factors)]
        return self._factors[0]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write hasher, codes, factors and originals into a folder, which appears as a whole.

        Parameters
        ----------
        folder : path-like
            Folder to make.

        Raises
        ------
        FileExistsError
            If there is something at `folder`.
        FileNotFoundError
            If the folder around it does not exist.
        """
        with making_folder(folder) as made:
            self.write(made)

    def write(self, folder: Path) -> None:
        """Write the files into a folder that is there.

        Parameters
        ----------
        folder : pathlib.Path
            Folder.
        """
        models.save(self.hasher, folder / _MODEL)
        self.index.save(folder / _INDEX)
        if self._factors is not None:
            write_arrays(folder / _FACTORS, _KIND, {}, {"factors": self.factors})
        if self._originals is not None:
            self._originals.save(folder / _ORIGINALS)

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, threads: int | None = None) -> Self:
        """Open a folder; codes, factors and originals stay on the disk until they are needed.

        Parameters
        ----------
        folder : path-like
            Folder of :meth:`save`, or of ``hashlearn compress``.
        threads : int, default=None
            Threads of a search; None takes every processor.

        Returns
        -------
        VectorIndex
            The index. Vectors may be added to what is in memory, not to the files.

        Raises
        ------
        FileNotFoundError
            If there is no such folder, or a file is missing in it.
        ValueError
            If a file is damaged, or the files do not belong together.
        """
        path = Path(folder)
        made = cls(models.load(path / _MODEL), threads=threads)
        made.index = HammingIndex.open(path / _INDEX, threads=threads)
        if made.index.n_bits != hasher_of(made.hasher).n_bits:
            raise ValueError(f"the codes in {path} are not of the length of its hasher's")
        if (path / _FACTORS).exists():
            _, arrays = read_arrays(path / _FACTORS, _KIND, mmap=True)
            made._factors = [arrays["factors"]]
            _check_length(path / _FACTORS, len(arrays["factors"]), len(made))
        if (path / _ORIGINALS).exists():
            made._originals = Originals.open(path / _ORIGINALS)
            _check_length(path / _ORIGINALS, len(made._originals), len(made))
        return made


def _ordered(found: Neighbors, distances: NDArray[np.float64]) -> Neighbors:
    """Order what was found by other distances, ties by number, empty places last."""
    missing = found.ids == NO_ID
    order = np.lexsort((found.ids, distances, missing), axis=1)
    return Neighbors(
        np.take_along_axis(found.ids, order, axis=1),
        np.take_along_axis(found.distances, order, axis=1),
    )


def _check_length(path: Path, n_rows: int, n_expected: int) -> None:
    if n_rows != n_expected:
        raise ValueError(f"{path} is of {n_rows} vectors, the codes beside it of {n_expected}")
