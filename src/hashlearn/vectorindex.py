"""Vectors under their codes: found by Hamming distance, ranked by real-valued queries."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from hashlearn import models
from hashlearn.codes import n_bytes, pack_bits, unpack_bits
from hashlearn.engine import available_threads
from hashlearn.factors import correction_factors, read_factors, write_factors
from hashlearn.index import HammingIndex
from hashlearn.index.bitmaps import as_bitmap
from hashlearn.index.limits import MAX_K, check_integer
from hashlearn.index.ranking import candidates_for
from hashlearn.index.weighted import nearest_weighted
from hashlearn.models import Model, hasher_of, steps_of
from hashlearn.originals import Kept, Originals, Rows
from hashlearn.results import NO_ID, Neighbors
from hashlearn.storage import making_folder

Ranking = Literal["hamming", "values", "factors", "exact"]
RANKINGS: tuple[Ranking, ...] = ("hamming", "values", "factors", "exact")
"""Orders in which found vectors may come."""

FloatArray = NDArray[np.float32]
_Distances = Callable[[int, NDArray[np.int64]], NDArray[np.float64]]
"""Gives distances of the query of a row to the vectors of some numbers."""

_MODEL, _INDEX, _FACTORS, _ORIGINALS = (
    "hasher.model", "codes.index", "factors.safetensors", "originals.safetensors",
)  # fmt: skip


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
        self._factors = Rows(np.empty((0, 2), np.float32)) if factors else None
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
        """Bytes of a code and its factors; what `originals` keeps is not counted."""
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
            If they are not what the hasher takes, or are too large for what is kept of them.
            Nothing is added then.
        TypeError
            If they are a sparse matrix.
        """
        rows = _dense(X)
        codes, values = self._encoded(rows, self._factors is not None)
        factors = None if self._factors is None else correction_factors(values)
        if self._originals is not None:
            self._originals.add(rows)  # nothing after it refuses vectors
        if self._factors is not None and factors is not None:
            self._factors.append(factors)
        self.index.add(codes)

    def _encoded(self, X: NDArray[Any], valued: bool) -> tuple[NDArray[np.uint8], FloatArray]:
        """Compute codes and, if they are wanted, the values before the sign."""
        if not valued:
            return models.encode(self.hasher, X), np.empty((0, 0), np.float32)
        values = models.project(self.hasher, X)
        return pack_bits(values >= 0), values  # as in Hasher.transform

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
        TypeError
            If the queries are a sparse matrix, or a number is not an integer.
        KeyError
            If `mask` holds a number that no vector has.
        """
        if ranking not in self.rankings:
            raise ValueError(
                f"this index ranks by {', '.join(self.rankings)}; got ranking={ranking!r}"
            )
        n_ranked = self._n_candidates(check_integer(k, "k", 1, MAX_K), n_candidates)
        rows = _dense(queries)
        codes, values = self._encoded(rows, ranking != "hamming")
        if ranking == "hamming":
            return self.index.search(codes, k, mask=mask)
        if n_candidates is not None:
            found = self.index.search(codes, n_ranked, mask=mask)
        elif ranking == "values":
            return self.index.search_values(values, k, mask=mask)
        elif ranking == "factors":
            return self._nearest_estimated(codes, values, k, mask)
        else:
            found = self.index.search_values(values, n_ranked, mask=mask)
        if ranking == "values":
            ranked = self.index.rerank(values, found)
        elif ranking == "factors":
            ranked = _ordered(found, self._estimated(values))
        else:
            ranked = _ordered(found, self._exact(rows))
        return Neighbors(ranked.ids[:, :k], ranked.distances[:, :k])

    def _nearest_estimated(
        self, codes: NDArray[np.uint8], values: FloatArray, k: int, mask: ArrayLike | None
    ) -> Neighbors:
        """Search all vectors by the distances that correction factors estimate."""
        allowed = None
        if mask is not None:
            self.index.search(codes[:1], 1, mask=mask)  # refuses a mask that is none
            marks, wanted = np.zeros(len(self), dtype=bool), np.asarray(mask)
            marks[wanted if wanted.dtype == bool else wanted.astype(np.int64)] = True
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

    def _n_candidates(self, k: int, wanted: int | None) -> int:
        """Check or choose a number of candidates; more than there are vectors are never needed."""
        if wanted is None:
            wanted = candidates_for(k)
        elif check_integer(wanted, "n_candidates", 1, MAX_K) < k:
            raise ValueError(f"n_candidates must be at least k={k}, got {wanted}")
        return min(wanted, max(k, len(self)))

    def _estimated(self, values: FloatArray) -> _Distances:
        """Estimate squared distances, less what depends on the query alone."""
        if self._factors is None:
            raise ValueError("no correction factors are kept")
        codes, factors, u = self.index.codes, self._factors, values.astype(np.float64)

        def distances(row: int, ids: NDArray[np.int64]) -> NDArray[np.float64]:
            signs = unpack_bits(codes[ids], self.index.n_bits).astype(np.float64) * 2 - 1
            gains, squares = factors.take(ids).T.astype(np.float64)
            estimates: NDArray[np.float64] = squares - 2 * gains * (signs @ u[row])
            return estimates

        return distances

    def _exact(self, queries: NDArray[Any]) -> _Distances:
        """Compute squared distances to the vectors that were kept."""
        if self._originals is None:
            raise ValueError("no originals are kept")
        originals, exact = self._originals, queries.astype(np.float64)

        def distances(row: int, ids: NDArray[np.int64]) -> NDArray[np.float64]:
            squares: NDArray[np.float64] = np.square(originals.rows(ids) - exact[row]).sum(axis=1)
            return squares

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
        return self._factors.whole()

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
            write_factors(folder / _FACTORS, self.factors)
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
            made._factors = Rows(read_factors(path / _FACTORS))
            made._check_rows(path / _FACTORS, len(made._factors))
        if (path / _ORIGINALS).exists():
            made._originals = Originals.open(path / _ORIGINALS)
            made._check_rows(path / _ORIGINALS, len(made._originals))
            made._check_features(path / _ORIGINALS, made._originals.n_features)
        return made

    def _check_rows(self, path: Path, n_rows: int) -> None:
        """Check that row i of a file is of the vector with the number i."""
        if n_rows != len(self):
            raise ValueError(f"{path} is of {n_rows} vectors, the codes beside it of {len(self)}")
        if n_rows and self.index.ids[-1] != n_rows - 1:  # ids rise
            raise ValueError(f"the codes beside {path} do not have the ids 0 to {n_rows - 1}")

    def _check_features(self, path: Path, n_features: int) -> None:
        """Check that vectors in a file are as long as those that the first step takes."""
        wanted = getattr(steps_of(self.hasher)[0], "n_features_in_", n_features)
        if n_features not in (0, wanted):
            raise ValueError(f"{path} is of {n_features} features, the hasher takes {wanted}")


def _dense(X: ArrayLike) -> NDArray[Any]:
    if issparse(X):
        raise TypeError("vectors must be dense, got a sparse matrix; X.toarray() makes it so")
    return np.asarray(X)


def _ordered(found: Neighbors, distances_of: _Distances) -> Neighbors:
    """Order what was found by other distances, ties by number, empty places last."""
    distances = np.full(found.ids.shape, np.inf)
    is_there = found.ids != NO_ID
    for row in np.flatnonzero(is_there.any(axis=1)):
        distances[row, is_there[row]] = distances_of(int(row), found.ids[row, is_there[row]])
    order = np.lexsort((found.ids, distances, ~is_there), axis=1)
    return Neighbors(
        np.take_along_axis(found.ids, order, axis=1),
        np.take_along_axis(found.distances, order, axis=1),
    )
