"""Codes and linear hashers in faiss, and codes back from its binary indexes."""

import math
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from hashlearn.codes import n_bytes
from hashlearn.index import HammingIndex
from hashlearn.integrations._affine import Part, UnitLength, check_linear, parts_of
from hashlearn.integrations._coded import Coded, Source, coded, indexed
from hashlearn.models import Model, hasher_of, steps_of

Kind = Literal["flat", "ivf", "hnsw"]

_OPTIONS = {
    "flat": (),
    "ivf": ("n_lists", "n_probes"),
    "hnsw": ("n_links", "ef_construction", "ef_search"),
}
_CODES_A_LIST = 256  # more of them do not make a better centre, as faiss says itself
_FEWEST_A_LIST = 39  # below, faiss warns


def to_faiss(
    source: Source,
    ids: ArrayLike | None = None,
    *,
    kind: Kind = "flat",
    n_bits: int | None = None,
    n_lists: int | None = None,
    n_probes: int | None = None,
    n_links: int | None = None,
    ef_construction: int | None = None,
    ef_search: int | None = None,
) -> Any:
    """Make a binary index of faiss that holds codes under ids.

    Parameters
    ----------
    source : HammingIndex or array-like of shape (n, ceil(n_bits / 8)), uint8
        Index, or packed codes.
    ids : array-like of shape (n,), int, default=None
        Distinct ids of packed codes, 0 to 2**63 - 1; None numbers them from 0. An index brings its
        own.
    kind : {"flat", "ivf", "hnsw"}, default="flat"
        ``IndexBinaryFlat``, which measures all distances; ``IndexBinaryIVF``, which looks into
        lists of near codes; or ``IndexBinaryHNSW``, which follows a graph. The latter two miss
        neighbours.
    n_bits : int, default=None
        Length of packed codes; None takes all bits of the bytes.
    n_lists : int, default=None
        Lists of an IVF. None takes ``4 * sqrt(n)``, fewer where lists had less than 39 codes.
    n_probes : int, default=None
        Lists that a search of an IVF looks into. None takes a sixteenth of them; all make it exact.
    n_links : int, default=None
        Links of a code in the graph of an HNSW. None takes 32.
    ef_construction : int, default=None
        Candidates while the graph of an HNSW is built. None takes 80.
    ef_search : int, default=None
        Candidates of a search of an HNSW. None takes 64; it should not be below the `k` of a
        search.

    Returns
    -------
    faiss.IndexBinary
        The index. IVF keeps ids itself, with a direct map of the kind hash table; the others are
        in an ``IndexBinaryIDMap2`` unless the ids are 0, 1, 2 and so on, in this order.

    Raises
    ------
    ImportError
        If faiss is not installed.
    TypeError
        If the codes are not uint8, or ids or numbers are not integer.
    ValueError
        If codes, ids or `n_bits` do not fit together, there is no such `kind`, an option is out of
        range or belongs to another kind, or an IVF gets no codes.

    Notes
    -----
    The length of codes in faiss is a multiple of 8. Others get bits that are always 0 at the end,
    as our bytes have them, so that all distances stay. Queries are our packed codes as they are.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> distances, ids = to_faiss(codes, ids=[7, 8, 9]).search(codes[:1], 2)
    >>> distances, ids
    (array([[0, 1]], dtype=int32), array([[7, 8]]))
    """
    faiss = _import_faiss()
    items = coded(source, ids, n_bits)
    given = {
        "n_lists": n_lists, "n_probes": n_probes, "n_links": n_links,
        "ef_construction": ef_construction, "ef_search": ef_search,
    }  # fmt: skip
    options = _check_options(kind, given)
    if kind == "ivf":
        return _inverted_lists(faiss, items, **options)
    index = _graph(faiss, items, **options) if kind == "hnsw" else _flat(faiss, items)
    if items.are_numbered:
        if len(items.codes):  # of none, older graphs of faiss crash
            index.add(items.codes)
        return index
    named = faiss.IndexBinaryIDMap2(index)
    named.add_with_ids(items.codes, items.ids)
    return named


def from_faiss(index: Any, n_bits: int | None = None) -> HammingIndex:
    """Read the codes and ids of a binary index of faiss.

    Parameters
    ----------
    index : faiss.IndexBinary
        Flat, IVF, HNSW, or one of these in an ``IndexBinaryIDMap`` or ``IndexBinaryIDMap2``.
    n_bits : int, default=None
        Length of a code, where the last bits of the last byte are always 0. None takes all.

    Returns
    -------
    HammingIndex
        The same codes under the same ids.

    Raises
    ------
    ImportError
        If faiss is not installed.
    TypeError
        If `index` is of another kind, or `n_bits` is not an integer.
    ValueError
        If `n_bits` asks for another number of bytes, a bit beyond it is 1, or an id is negative or
        repeated, as faiss allows.

    Examples
    --------
    >>> import faiss
    >>> import numpy as np
    >>> flat = faiss.IndexBinaryFlat(8)
    >>> flat.add(np.array([[0], [1], [3]], np.uint8))
    >>> from_faiss(flat)
    <HammingIndex of 3 codes of 8 bits>
    """
    faiss = _import_faiss()
    if not isinstance(index, faiss.IndexBinary):
        raise TypeError(f"index must be a binary index of faiss, got {type(index).__name__}")
    length = int(index.d) if n_bits is None else n_bits
    if n_bytes(length) != index.code_size:
        raise ValueError(
            f"the codes of the index have {index.code_size} bytes, those of n_bits={length} have "
            f"{n_bytes(length)}"
        )
    codes, ids = _stored(faiss, faiss.downcast_IndexBinary(index))
    return indexed(codes, ids, length)


def linear_to_faiss(model: Model) -> Any:
    """Make an index of faiss that turns vectors into a fitted model's codes.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted hasher of linear functions, such as LSH or ITQ; or pipeline that ends in one, of
        standardisation, PCA, truncated SVD and division by the Euclidean length.

    Returns
    -------
    faiss.IndexPreTransform
        Linear functions before an ``IndexLSH``, without items. It is trained: ``add`` and
        ``search`` take float32 vectors, ``sa_encode`` gives our packed codes, and distances are
        Hamming distances.

    Raises
    ------
    ImportError
        If faiss is not installed.
    TypeError
        If a step of the model is something else.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    Notes
    -----
    A bit is 1 where the value is at least 0, here as in faiss, exact zeros included. We add up in
    double precision, faiss in single, in another order; so a bit may differ where its value is
    within rounding of 0. To have our codes to the last bit, give them to the ``IndexLSH`` inside by
    its ``add_sa_codes``.

    Examples
    --------
    >>> import numpy as np
    >>> from hashlearn.hashers import get_method
    >>> X = np.random.default_rng(0).standard_normal((9, 4), dtype=np.float32)
    >>> hasher = get_method("lsh")(12, random_state=0).fit(X)
    >>> index = linear_to_faiss(hasher)
    >>> index.add(X)
    >>> bool((index.sa_encode(X) == hasher.encode(X)).all())
    True
    """
    faiss = _import_faiss()
    steps = steps_of(model)
    check_linear(steps)
    for step in steps:
        check_is_fitted(step)
    n_bits = int(hasher_of(model).n_bits)
    index: Any = faiss.IndexLSH(n_bits, n_bits, False, False)
    for part in reversed(parts_of(steps)):
        transform = _transform(faiss, part)
        if isinstance(index, faiss.IndexPreTransform):
            index.prepend_transform(transform)
        else:
            index = faiss.IndexPreTransform(transform, index)
    return index


def _check_options(kind: str, given: dict[str, Any]) -> dict[str, int]:
    """Keep what is given, if the kind of index has it."""
    if kind not in _OPTIONS:
        raise ValueError(f"kind must be one of {', '.join(_OPTIONS)}; got {kind!r}")
    options = {name: value for name, value in given.items() if value is not None}
    for name, value in options.items():
        if name not in _OPTIONS[kind]:
            raise ValueError(f"an index of kind {kind!r} has no {name}, got {name}={value!r}")
        check_scalar(value, name, Integral, min_val=2 if name == "n_links" else 1)
    return {name: int(value) for name, value in options.items()}


def _flat(faiss: Any, items: Coded) -> Any:
    return faiss.IndexBinaryFlat(8 * n_bytes(items.n_bits))


def _graph(
    faiss: Any, items: Coded, n_links: int = 32, ef_construction: int = 80, ef_search: int = 64
) -> Any:
    index = faiss.IndexBinaryHNSW(8 * n_bytes(items.n_bits), n_links)
    index.hnsw.efConstruction = ef_construction
    index.hnsw.efSearch = ef_search
    return index


def _inverted_lists(
    faiss: Any, items: Coded, n_lists: int | None = None, n_probes: int | None = None
) -> Any:
    n_codes = len(items.codes)
    if not n_codes:
        raise ValueError("an index of kind 'ivf' learns its lists from the codes, and there are 0")
    if n_lists is None:
        n_lists = max(1, min(round(4 * math.sqrt(n_codes)), n_codes // _FEWEST_A_LIST))
    if n_lists > n_codes:
        raise ValueError(f"n_lists must be at most the number of codes, {n_codes}; got {n_lists}")
    if n_probes is not None and n_probes > n_lists:
        raise ValueError(f"n_probes must be at most n_lists, {n_lists}; got {n_probes}")
    n_dimensions = 8 * n_bytes(items.n_bits)
    index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(n_dimensions), n_dimensions, n_lists)
    index.train(_sample(items.codes, _CODES_A_LIST * n_lists))
    # Of the direct maps, this one alone takes any ids and still lets items be removed.
    index.set_direct_map_type(faiss.DirectMap.Hashtable)
    index.add_with_ids(items.codes, items.ids)
    index.nprobe = max(1, n_lists // 16) if n_probes is None else n_probes
    return index


def _sample(codes: NDArray[np.uint8], n_most: int) -> NDArray[np.uint8]:
    """Choose codes to learn from: faiss writes every bit of all it gets as a float."""
    if len(codes) <= n_most:
        return codes
    chosen = np.random.default_rng(0).choice(len(codes), n_most, replace=False)
    return codes[np.sort(chosen)]


def _stored(faiss: Any, index: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Copy codes and ids out of an index."""
    if isinstance(index, faiss.IndexBinaryIDMap):  # IDMap2 is one
        codes, _ = _stored(faiss, faiss.downcast_IndexBinary(index.index))
        return codes, faiss.vector_to_array(index.id_map)
    if isinstance(index, faiss.IndexBinaryFlat):
        codes = faiss.vector_to_array(index.xb).reshape(-1, index.code_size)
        return codes, np.arange(len(codes), dtype=np.int64)
    if isinstance(index, faiss.IndexBinaryHNSW):
        return _stored(faiss, faiss.downcast_IndexBinary(index.storage))
    if isinstance(index, faiss.IndexBinaryIVF):
        return _listed(faiss, index)
    raise TypeError(
        f"cannot read the codes of {type(index).__name__}; those of IndexBinaryFlat, "
        "IndexBinaryIVF and IndexBinaryHNSW can be read, also within an IndexBinaryIDMap"
    )


def _listed(faiss: Any, index: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the lists themselves: reconstruct asks for a direct map, which an index may not have."""
    lists, width = index.invlists, index.code_size
    codes = [np.empty((0, width), np.uint8)]
    ids = [np.empty(0, np.int64)]
    for number in range(index.nlist):
        if not (size := lists.list_size(number)):
            continue
        held_codes, held_ids = lists.get_codes(number), lists.get_ids(number)
        codes.append(faiss.rev_swig_ptr(held_codes, size * width).reshape(size, width).copy())
        ids.append(faiss.rev_swig_ptr(held_ids, size).copy())
        lists.release_codes(number, held_codes)
        lists.release_ids(number, held_ids)
    return np.concatenate(codes), np.concatenate(ids)


def _transform(faiss: Any, part: Part) -> Any:
    if isinstance(part, UnitLength):
        return faiss.NormalizationTransform(part.n_features, 2.0)
    n_functions, n_features = part.weights.shape
    transform = faiss.LinearTransform(n_features, n_functions, True)
    faiss.copy_array_to_vector(part.weights.astype(np.float32).ravel(), transform.A)
    faiss.copy_array_to_vector(part.bias.astype(np.float32), transform.b)
    transform.is_trained = True
    return transform


def _import_faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise ImportError("this needs faiss: pip install 'hashlearn[faiss]'") from error
    return faiss
