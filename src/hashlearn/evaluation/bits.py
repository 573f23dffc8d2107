"""What a set of codes looks like: balance and correlation of the bits, distinct codes, collisions.

These numbers need no ground truth. They say how much of their length codes use, not what they are
worth.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import check_codes
from hashlearn.evaluation.conventions import FloatArray, IntArray

_BLOCK_ENTRIES = 1 << 23


@dataclass(frozen=True, eq=False)
class BitStatistics:
    """Hold statistics of a set of codes.

    Parameters
    ----------
    n_codes : int
        Number of codes.
    n_bits : int
        Length of a code.
    balance : ndarray of shape (n_bits,), float64
        Share of the codes in which each bit is 1; 0.5 is best.
    n_constant : int
        Bits that are the same in all codes.
    mean_correlation : float
        Mean absolute correlation over the pairs of bits that are not constant; 0 if there is none.
    largest_correlation : float
        Largest absolute correlation of two bits that are not constant; 0 if there is none.
    bit_entropy : float
        Sum of the entropies of the single bits, in bits: at most `n_bits`, and reached if all bits
        are balanced, however much they depend on each other.
    code_entropy : float
        Entropy of the codes as they were observed, in bits: at most log2 of `n_codes`.
    n_distinct : int
        Number of different codes.
    collision_rate : float
        Probability that two different items, drawn at random, have the same code.
    """

    n_codes: int
    n_bits: int
    balance: FloatArray = field(repr=False)
    n_constant: int
    mean_correlation: float
    largest_correlation: float
    bit_entropy: float
    code_entropy: float
    n_distinct: int
    collision_rate: float

    def as_dict(self) -> dict[str, float | int]:
        """Give the statistics, one number each, as plain values.

        Returns
        -------
        dict
            Every number by its name; of the balance, ``"worst_balance"``: the one farthest from
            one half.
        """
        worst = self.balance[np.abs(self.balance - 0.5).argmax()]
        return {
            "worst_balance": float(worst),
            "n_constant": self.n_constant,
            "mean_correlation": self.mean_correlation,
            "largest_correlation": self.largest_correlation,
            "bit_entropy": self.bit_entropy,
            "code_entropy": self.code_entropy,
            "n_distinct": self.n_distinct,
            "collision_rate": self.collision_rate,
        }


def bit_statistics(codes: ArrayLike, n_bits: int) -> BitStatistics:
    """Compute statistics of a set of codes.

    Parameters
    ----------
    codes : array-like of shape (n, ceil(n_bits / 8)), uint8
        Packed codes, at least two.
    n_bits : int
        Length of a code.

    Returns
    -------
    BitStatistics
        Balance, correlation, entropies and collisions.

    Raises
    ------
    TypeError
        If `codes` is not uint8.
    ValueError
        If `codes` has another shape than `n_bits` asks for, or there are fewer than two.

    Notes
    -----
    All numbers are of the codes themselves, exact up to rounding; none is an estimate for other
    codes of the same distribution, whose entropy is larger than that observed. Bits are unpacked
    some codes at a time: memory is a small multiple of that of the packed codes.

    Examples
    --------
    >>> statistics = bit_statistics([[0b00], [0b00], [0b11], [0b01]], 2)
    >>> statistics.balance, statistics.n_distinct
    (array([0.5 , 0.25]), 3)
    >>> round(statistics.collision_rate, 4), round(statistics.mean_correlation, 4)
    (0.1667, 0.5774)
    """
    array = check_codes(codes, n_bits)
    n = len(array)
    if n < 2:
        raise ValueError(f"statistics need at least 2 codes, got {n}")
    both = _count_pairs_of_ones(array, n_bits)
    balance = np.diagonal(both) / n
    correlation = _correlations(both, n)
    copies = _count_copies(array)
    return BitStatistics(
        n_codes=n,
        n_bits=int(n_bits),
        balance=balance,
        n_constant=int(((balance == 0) | (balance == 1)).sum()),
        mean_correlation=float(correlation.mean()) if len(correlation) else 0.0,
        largest_correlation=float(correlation.max(initial=0.0)),
        bit_entropy=_entropy(balance) + _entropy(1 - balance),
        code_entropy=_entropy(copies / n),
        n_distinct=len(copies),
        collision_rate=float((copies * (copies - 1)).sum() / (n * (n - 1))),
    )


def _count_pairs_of_ones(codes: NDArray[np.uint8], n_bits: int) -> FloatArray:
    """Count, for each two bits, the codes in which both are 1."""
    both = np.zeros((n_bits, n_bits))
    rows = max(1, _BLOCK_ENTRIES // n_bits)  # below 2 ** 24, so that float32 counts exactly
    for start in range(0, len(codes), rows):
        block = codes[start : start + rows]
        bits = np.unpackbits(block, axis=1, count=n_bits, bitorder="little").astype(np.float32)
        both += bits.T @ bits
    return both


def _correlations(both: FloatArray, n: int) -> FloatArray:
    """Compute the absolute correlation of each pair of bits that are not constant."""
    ones = np.diagonal(both)
    varies = (ones > 0) & (ones < n)
    both, ones = both[np.ix_(varies, varies)], ones[varies]
    covariance = n * both - np.outer(ones, ones)
    deviation = np.sqrt(ones * (n - ones))
    correlation = np.abs(covariance) / np.outer(deviation, deviation)
    return np.asarray(correlation[np.triu_indices(len(ones), k=1)])


def _count_copies(codes: NDArray[np.uint8]) -> IntArray:
    """Count how often each distinct code is there."""
    padded = np.zeros((len(codes), -(-codes.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : codes.shape[1]] = codes
    words = padded.view(np.uint64)
    words = words[np.lexsort(words.T)]
    is_new = (words[1:] != words[:-1]).any(axis=1)
    return np.asarray(np.diff(np.r_[0, np.flatnonzero(is_new) + 1, len(words)]), np.int64)


def _entropy(shares: FloatArray) -> float:
    """Sum -p log2 p, in bits."""
    return float(0.0 - (shares * np.log2(np.where(shares > 0, shares, 1.0))).sum())
