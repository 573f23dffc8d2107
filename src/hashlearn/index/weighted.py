"""Asymmetric search: queries that were not rounded to bits against all stored codes, exactly.

Results depend neither on the kernel, nor on threads, nor on the order in which items were added,
because the values of a query become whole numbers times a power of two: their sums are exact.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import hamming_distances, pack_bits
from hashlearn.engine import choose_kernel, native
from hashlearn.index.bitmaps import Bitmap, as_marks
from hashlearn.index.ids import take
from hashlearn.index.items import Segment
from hashlearn.index.limits import MAX_K, MAX_THREADS, check_integer
from hashlearn.results import NO_ID, Neighbors


def check_values(values: ArrayLike, n_bits: int) -> NDArray[np.float64]:
    """Check that an array holds the values before the sign of codes of a length.

    Parameters
    ----------
    values : array-like of shape (q, n_bits), real
        Values before the sign.
    n_bits : int
        Length of a code.

    Returns
    -------
    ndarray of shape (q, n_bits), float64
        The values.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If they have another shape, or are not finite, or too large to be summed.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"values must be real numbers, got {array.dtype}")
    if array.ndim != 2 or array.shape[1] != n_bits:
        raise ValueError(f"values must have the shape (q, {n_bits}), got {array.shape}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float64, copy=False)
        sums = 2 * np.abs(array).sum(axis=1)  # rounded to whole numbers, a sum may grow a little
    if not np.isfinite(sums).all():
        row = int(np.flatnonzero(~np.isfinite(sums))[0])
        raise ValueError(f"values must be finite, and so must their sums; row {row} is not")
    return array


def as_whole(values: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Round values to whole numbers times a power of two, one power for each query.

    Parameters
    ----------
    values : ndarray of shape (q, n_bits), float64
        Values before the sign, as from :func:`check_values`.

    Returns
    -------
    whole : ndarray of shape (q, n_bits), int32
        ``rint(values * 2**exponents)``: a value is changed by half of ``2**-exponents`` at most.
    exponents : ndarray of shape (q,), int32
        The largest with which the absolute values of `whole` add up to less than 2**31; 0 where
        all values are 0.

    Examples
    --------
    >>> whole, exponents = as_whole(np.array([[0.5, -2.0]]))
    >>> whole.tolist(), exponents.tolist()
    ([[268435456, -1073741824]], [29])
    """
    sums = np.abs(values).sum(axis=1)
    # With this exponent the sum is from 2**31 on, but for rounding; so it is the largest one or
    # above it. That sums of floats depend on their order moves it at most to the next power.
    exponents = np.where(sums > 0, 33 - np.frexp(sums)[1], 0).astype(np.int32)
    while True:
        whole = np.rint(np.ldexp(values, exponents[:, None]))
        is_over = np.abs(whole).sum(axis=1) >= 2**31  # whole numbers, far below 2**53
        if not is_over.any():
            return whole.astype(np.int32), exponents
        exponents -= is_over


def weighted_sums(whole: NDArray[np.int32], codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Sum the absolute values of a query over the bits in which a code differs from its signs.

    Parameters
    ----------
    whole : ndarray of shape (n_bits,), int32
        Values of one query, as from :func:`as_whole`.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.

    Returns
    -------
    ndarray of shape (n,), int64
        The sums.

    Examples
    --------
    >>> weighted_sums(np.array([5, -20], np.int32), np.array([[0b01], [0b10]], np.uint8))
    array([ 0, 25])
    """
    weights = np.zeros((codes.shape[1], 8), dtype=np.int64)
    weights.reshape(-1)[: len(whole)] = np.abs(whole)
    # tables[i, x] becomes the sum for byte i where the differing bits are those of x.
    tables = np.zeros((codes.shape[1], 1), dtype=np.int64)
    for bit in range(8):
        tables = np.concatenate([tables, tables + weights[:, bit, None]], axis=1)
    differing = codes ^ pack_bits(whole[None] >= 0)
    sums = np.zeros(len(codes), dtype=np.int64)
    for table, byte in zip(tables, differing.T, strict=True):
        sums += table[byte]
    return sums


def nearest_weighted(
    values: ArrayLike,
    codes: NDArray[np.uint8],
    k: int,
    *,
    gains: NDArray[np.float32] | None = None,
    offsets: NDArray[np.float32] | None = None,
    allowed: Bitmap | None = None,
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the `k` nearest codes of queries that were not rounded to bits.

    Parameters
    ----------
    values : array-like of shape (q, n_bits), real
        Values before the sign; rounded by :func:`as_whole`.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes, C-contiguous; unused bits count nothing.
    k : int
        Number of places for each query, 1 to 2**31 - 1.
    gains : ndarray of shape (n,), float32, default=None
        Factor of each code, given together with `offsets`.
    offsets : ndarray of shape (n,), float32, default=None
        Summand of each code.
    allowed : ndarray of shape (ceil(n / 64),), uint64, default=None
        Bitmap of the codes that may be found; None allows all.
    threads : int
        Number of threads, 1 to 1024.

    Returns
    -------
    positions : ndarray of shape (q, k), int64
        Positions in the order (distance, position); -1 where there was no code.
    distances : ndarray of shape (q, k), float64
        Their distances; infinite where there was no code.

    Raises
    ------
    TypeError
        If `values` is not real, another array has another dtype, or a number is not an integer.
    ValueError
        If a shape does not fit, a number is out of range, only one of `gains` and `offsets` is
        given, or `values` holds NaN or infinity.

    Notes
    -----
    Without factors the distance is the weighted distance of
    :func:`~hashlearn.index.ranking.weighted_distances`. With ``t`` the sum of a query's values,
    each with the sign of the code's bit (minus for 0), the distance with factors is
    ``offsets - (2 * gains) * t`` in float64, rounded after each operation. Estimators of distances
    and inner products from codes have this form. Codes whose distance is NaN or infinity are not
    found.

    Examples
    --------
    >>> codes = np.array([[0b01], [0b10], [0b11]], dtype=np.uint8)
    >>> nearest_weighted([[0.5, -2.0]], codes, 2, threads=1)
    (array([[0, 2]]), array([[0., 2.]]))
    >>> ones = np.ones(3, dtype=np.float32)
    >>> nearest_weighted([[0.5, -2.0]], codes, 2, gains=ones, offsets=5 * ones, threads=1)
    (array([[0, 2]]), array([[0., 8.]]))
    """
    n_bits = np.shape(values)[-1] if np.ndim(values) else 0
    whole, exponents = as_whole(check_values(values, n_bits))
    k = check_integer(k, "k", 1, MAX_K)
    threads = check_integer(threads, "threads", 1, MAX_THREADS)
    _check_array("codes", codes, np.uint8, (len(codes), -(-n_bits // 8)))
    if (gains is None) != (offsets is None):
        raise ValueError("gains and offsets must be given together")
    if gains is not None and offsets is not None:
        _check_array("gains", gains, np.float32, (len(codes),))
        _check_array("offsets", offsets, np.float32, (len(codes),))
    if allowed is not None:
        _check_array("allowed", allowed, np.uint64, (-(-len(codes) // 64),))
    positions = np.full((len(whole), k), -1, dtype=np.int64)
    distances = np.full((len(whole), k), np.inf)
    if (kernel := choose_kernel()) == "numpy":
        _nearest(whole, exponents, codes, gains, offsets, allowed, positions, distances)
    else:
        native.nearest_weighted(
            whole, exponents, codes, gains, offsets, allowed, positions, distances, threads, kernel
        )
    return positions, distances


def find_weighted(
    segments: Sequence[Segment], values: NDArray[np.float64], k: int, n_bits: int, threads: int
) -> Neighbors:
    """Find the `k` items of each query that are nearest by the weighted distance.

    Parameters
    ----------
    segments : sequence of Segment
        The items; no id twice.
    values : ndarray of shape (q, n_bits), float64
        Values before the sign.
    k : int
        Number of places for each query.
    n_bits : int
        Length of a code.
    threads : int
        Number of threads.

    Returns
    -------
    Neighbors
        In the order (weighted distance, id), with Hamming distances; places without an item hold
        -1 and ``n_bits + 1``.
    """
    ids = np.full((len(values), k), NO_ID, dtype=np.int64)
    bits = np.full((len(values), k), n_bits + 1, dtype=np.int32)
    weighted = np.full((len(values), k), np.inf)
    signs = pack_bits(values >= 0)
    for segment in segments:
        most = min(k, segment.n_present)
        if most == 0:
            continue
        positions, distances = nearest_weighted(
            values, segment.codes, most, allowed=segment.present, threads=threads
        )
        for row, found in enumerate(positions):
            new_bits = hamming_distances(signs[row, None], segment.codes[found])[0]
            all_ids = np.concatenate([ids[row], take(segment.ids, found)])
            all_weighted = np.concatenate([weighted[row], distances[row]])
            order = np.lexsort((all_ids, all_weighted))[:k]
            ids[row], weighted[row] = all_ids[order], all_weighted[order]
            bits[row] = np.concatenate([bits[row], new_bits])[order]
    return Neighbors(ids, bits)


def _nearest(
    whole: NDArray[np.int32],
    exponents: NDArray[np.int32],
    codes: NDArray[np.uint8],
    gains: NDArray[np.float32] | None,
    offsets: NDArray[np.float32] | None,
    allowed: Bitmap | None,
    positions: NDArray[np.int64],
    distances: NDArray[np.float64],
) -> None:
    """Do in NumPy what the engine does."""
    places = np.arange(len(codes))
    if allowed is not None:
        places = np.flatnonzero(as_marks(allowed, len(codes)))
        codes = codes[places]
    for row, query in enumerate(whole):
        sums = weighted_sums(query, codes)
        if gains is None or offsets is None:
            found = np.ldexp(sums.astype(np.float64), -exponents[row])
        else:
            weight = np.abs(query.astype(np.int64)).sum()
            t = np.ldexp((weight - 2 * sums).astype(np.float64), -exponents[row])
            with np.errstate(over="ignore", invalid="ignore"):  # such codes are not found
                found = offsets[places].astype(np.float64)
                found -= 2 * gains[places].astype(np.float64) * t
        order = _first(found, min(positions.shape[1], len(found)))
        positions[row, : len(order)] = places[order]
        distances[row, : len(order)] = found[order]


def _first(distances: NDArray[np.float64], k: int) -> NDArray[np.intp]:
    """Give the first `k` finite distances in the order (distance, position)."""
    finite = np.flatnonzero(np.isfinite(distances))
    if k < len(finite):
        kth = np.partition(distances[finite], k - 1)[k - 1]
        finite = finite[distances[finite] <= kth]
    return finite[np.argsort(distances[finite], kind="stable")][:k]


def _check_array(
    name: str, array: NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    if array.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype).name}, got {array.dtype}")
    if array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous of shape {shape}, got {array.shape}")
