"""Codes in usearch, and back from it."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from hashlearn.codes import n_bytes
from hashlearn.index import HammingIndex
from hashlearn.integrations._coded import Source, coded, indexed

_ROWS = 1 << 16  # read at a time: usearch gives an array a row


def to_usearch(
    source: Source,
    ids: ArrayLike | None = None,
    *,
    n_bits: int | None = None,
    connectivity: int | None = None,
    expansion_add: int | None = None,
    expansion_search: int | None = None,
    threads: int | None = None,
) -> Any:
    """Make an index of usearch that holds codes under ids.

    Parameters
    ----------
    source : HammingIndex or array-like of shape (n, ceil(n_bits / 8)), uint8
        Index, or packed codes.
    ids : array-like of shape (n,), int, default=None
        Distinct ids of packed codes, 0 to 2**63 - 1; None numbers them from 0. An index brings its
        own. They are the keys of usearch.
    n_bits : int, default=None
        Length of packed codes; None takes all bits of the bytes.
    connectivity : int, default=None
        Links of a code in the graph. None leaves it to usearch, which takes 16.
    expansion_add : int, default=None
        Candidates while the graph is built. None leaves it to usearch, which takes 128.
    expansion_search : int, default=None
        Candidates of a search. None leaves it to usearch, which takes 64.
    threads : int, default=None
        Threads that build the graph. None takes all processors; only 1 gives the same graph again.

    Returns
    -------
    usearch.index.Index
        Index of `n_bits` dimensions of the kind ``B1`` under the metric ``Hamming``. Queries are
        our packed codes as they are.

    Raises
    ------
    ImportError
        If usearch is not installed.
    TypeError
        If the codes are not uint8, or ids or numbers are not integer.
    ValueError
        If codes, ids or `n_bits` do not fit together, or a number is out of range.

    Notes
    -----
    ``search(queries, k, exact=True)`` measures all distances. Which of several ids at one distance
    it gives is arbitrary; :class:`~hashlearn.HammingIndex` gives the smallest. For one query the
    result is flat, also where it came as a matrix of one row; its `radius` does nothing.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> found = to_usearch(codes, ids=[7, 8, 9]).search(codes[0], 2)
    >>> found.keys, found.distances
    (array([7, 8], dtype=uint64), array([0., 1.], dtype=float32))
    """
    usearch = _import_usearch()
    items = coded(source, ids, n_bits)
    options = {
        "connectivity": connectivity, "expansion_add": expansion_add,
        "expansion_search": expansion_search,
    }  # fmt: skip
    for name, value in {**options, "threads": threads}.items():
        if value is not None:
            check_scalar(value, name, Integral, min_val=2 if name == "connectivity" else 1)
    index = usearch.Index(
        ndim=items.n_bits,
        metric=usearch.MetricKind.Hamming,
        dtype=usearch.ScalarKind.B1,
        **options,
    )
    if len(items.codes):
        index.add(items.ids.astype(np.uint64), items.codes, threads=threads or 0)
    return index


def from_usearch(index: Any, n_bits: int | None = None) -> HammingIndex:
    """Read the codes and keys of an index of usearch.

    Parameters
    ----------
    index : usearch.index.Index
        Index of bits (``B1``) under the metric ``Hamming``, one code a key. It may be a view.
    n_bits : int, default=None
        Length of a code, where the last bits of the last byte are always 0. None takes the number
        of dimensions.

    Returns
    -------
    HammingIndex
        The same codes under the same ids.

    Raises
    ------
    ImportError
        If usearch is not installed.
    TypeError
        If `index` is none of usearch, or `n_bits` is not an integer.
    ValueError
        If the index holds something else than bits, has another metric, several codes a key or no
        lookup of keys, `n_bits` asks for another number of bytes, a bit beyond it is 1, or a key is
        above 2**63 - 1.

    Examples
    --------
    >>> import numpy as np
    >>> from_usearch(to_usearch(np.array([[0], [1], [3]], np.uint8)))
    <HammingIndex of 3 codes of 8 bits>
    """
    usearch = _import_usearch()
    if not isinstance(index, usearch.Index):
        raise TypeError(f"index must be an index of usearch, got {type(index).__name__}")
    bits, hamming = usearch.ScalarKind.B1, usearch.MetricKind.Hamming
    if index.dtype != bits or index.metric_kind != hamming or index.multi:
        raise ValueError(
            "the index must hold one code of bits (B1) a key, under the metric Hamming; got "
            f"{index}"
        )
    length = int(index.ndim) if n_bits is None else n_bits
    if n_bytes(length) != n_bytes(int(index.ndim)):
        raise ValueError(
            f"the codes of the index have {index.ndim} bits, other bytes than n_bits={length}"
        )
    keys = np.asarray(index.keys)
    codes = np.empty((len(keys), n_bytes(length)), np.uint8)
    for start in range(0, len(keys), _ROWS):
        rows = index.get(keys[start : start + _ROWS])
        if rows[0] is None:
            raise ValueError("the index was made with enable_key_lookups=False: codes stay inside")
        codes[start : start + len(rows)] = rows
    return indexed(codes, keys, length)


def _import_usearch() -> Any:
    try:
        import usearch.index
    except ModuleNotFoundError as error:
        raise ImportError("this needs usearch: pip install 'hashlearn[usearch]'") from error
    return usearch.index
