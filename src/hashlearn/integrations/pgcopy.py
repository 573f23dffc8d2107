"""Codes on their way into PostgreSQL: as text of 0 and 1, and as what COPY reads."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import check_codes, pack_bits, unpack_bits
from hashlearn.integrations._sql import Name, literal, qualified, quoted
from hashlearn.storage import replacing

_ROWS = 1 << 12
_PLAIN = (int, float, Decimal, UUID, datetime, date, time)  # str gives what PostgreSQL reads
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def codes_to_bitstrings(codes: ArrayLike, n_bits: int) -> list[str]:
    """Write codes as texts of 0 and 1, as PostgreSQL writes its ``bit(n)``.

    Parameters
    ----------
    codes : array-like of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Their length.

    Returns
    -------
    list of str
        Of each code `n_bits` characters; character j, counted from 0 on the left, is bit j.

    Raises
    ------
    TypeError
        If `codes` is not uint8.
    ValueError
        If `codes` has another shape than `n_bits` asks for, or a 1 among the unused bits.

    Examples
    --------
    >>> codes_to_bitstrings([[5, 1]], 9)
    ['101000001']
    """
    bits = unpack_bits(codes, n_bits)
    bits += ord("0")
    return [row.tobytes().decode("ascii") for row in bits]


def bitstrings_to_codes(bitstrings: Iterable[str]) -> tuple[NDArray[np.uint8], int]:
    """Read codes from texts of 0 and 1, as PostgreSQL gives its ``bit(n)``.

    Parameters
    ----------
    bitstrings : iterable of str
        Codes of one length.

    Returns
    -------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Their length.

    Raises
    ------
    TypeError
        If one is no string.
    ValueError
        If there are none, one is empty or holds anything but 0 and 1, or they have different
        lengths.

    Examples
    --------
    >>> bitstrings_to_codes(["101000001"])
    (array([[5, 1]], dtype=uint8), 9)
    """
    texts = [bitstrings] if isinstance(bitstrings, str) else list(bitstrings)
    if not texts:
        raise ValueError("there are no codes")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"code {number} must be a string, got {text!r}")
        if not text or text.strip("01"):
            raise ValueError(f"code {number} must be a text of 0 and 1, got {text[:80]!r}")
        if len(text) != len(texts[0]):
            raise ValueError(
                f"code {number} has {len(text)} bits and code 0 has {len(texts[0])}; all must have "
                "one length"
            )
    rows = np.frombuffer("".join(texts).encode("ascii"), np.uint8)
    return pack_bits(rows.reshape(len(texts), -1) - ord("0")), len(texts[0])


def copy_sql(
    table: Name,
    columns: Iterable[str] = (),
    *,
    with_vectors: bool = False,
    source: str | None = None,
) -> str:
    r"""Write the statement that reads what :func:`copy_blocks` or :func:`write_copy` write.

    Parameters
    ----------
    table : str or sequence of str
        Table, as in :func:`~hashlearn.integrations.pgvector.table_sql`.
    columns : iterable of str, default=()
        Names of the further columns, in the order in which they are written.
    with_vectors : bool, default=False
        Whether the vectors are written too.
    source : str, optional
        File on the server; None: the client sends the rows.

    Returns
    -------
    str
        The statement. With a backslash before it, and a file for ``STDIN``, it is the command of
        psql that reads a file on this side.

    Raises
    ------
    TypeError
        If a name is no string.
    ValueError
        If a name is not allowed.

    Examples
    --------
    >>> copy_sql("items", ["title"])
    'COPY "items" ("id", "code", "title") FROM STDIN WITH (ENCODING \'UTF8\');'
    """
    names = ["id", "code", *(["embedding"] if with_vectors else []), *columns]
    listed = ", ".join(map(quoted, names))
    place = "STDIN" if source is None else literal(os.fspath(source))
    return f"COPY {qualified(table)} ({listed}) FROM {place} WITH (ENCODING 'UTF8');"


def copy_blocks(
    codes: ArrayLike,
    n_bits: int,
    ids: ArrayLike | None = None,
    *,
    X: ArrayLike | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> Iterator[bytes]:
    r"""Write rows of a table as COPY reads them, some thousands at a time.

    Parameters
    ----------
    codes : array-like of shape (n, ceil(n_bits / 8)), uint8
        Packed codes; they may be mapped from a file.
    n_bits : int
        Their length.
    ids : array-like of shape (n,), int or str, optional
        Ids of the rows; None: 0 to n - 1.
    X : array-like of shape (n, d), float, optional
        Vectors, which may be mapped from a file; written so that they are read as the same numbers
        in single precision.
    columns : mapping of str to sequence, optional
        Names of further columns and their values, one a row: texts, numbers, truth values, dates,
        times, UUIDs, or None for NULL.

    Returns
    -------
    iterator of bytes
        Lines in COPY's text format, in UTF-8: what psycopg's ``copy.write`` takes.

    Raises
    ------
    TypeError
        If `codes` is not uint8, `ids` are neither whole numbers nor texts, or a value is of another
        kind than these.
    ValueError
        If the lengths differ, `codes` does not fit `n_bits`, `X` is no matrix or holds NaN or
        infinity, or a text holds the character 0, which PostgreSQL cannot store.

    Examples
    --------
    >>> list(copy_blocks([[5, 1]], 9, columns={"title": ["a\tb"], "year": [None]}))
    [b'0\t101000001\ta\\tb\t\\N\n']
    """
    array = check_codes(codes, n_bits)
    rows = _check_ids(ids, len(array))
    vectors = None if X is None else _check_vectors(X, len(array))
    others = list((columns or {}).items())
    for name, values in others:
        if len(values) != len(array):
            raise ValueError(f"the column {name!r} has {len(values)} values for {len(array)} codes")
    return _blocks(array, n_bits, rows, vectors, [values for _, values in others])


def write_copy(
    path: str | os.PathLike[str],
    codes: ArrayLike,
    n_bits: int,
    ids: ArrayLike | None = None,
    *,
    X: ArrayLike | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """Write rows of a table into a file that COPY reads, atomically.

    Parameters
    ----------
    path : path-like
        File to create or replace.
    codes : array-like of shape (n, ceil(n_bits / 8)), uint8
        Packed codes; they may be mapped from a file.
    n_bits : int
        Their length.
    ids : array-like of shape (n,), int or str, optional
        As in :func:`copy_blocks`.
    X : array-like of shape (n, d), float, optional
        Vectors, as in :func:`copy_blocks`.
    columns : mapping of str to sequence, optional
        Further columns, as in :func:`copy_blocks`.

    Raises
    ------
    TypeError
        If anything has another type than :func:`copy_blocks` takes.
    ValueError
        If anything is not as :func:`copy_blocks` takes it.
    FileNotFoundError
        If the folder of `path` does not exist.
    IsADirectoryError
        If `path` is a folder.
    """
    blocks = copy_blocks(codes, n_bits, ids, X=X, columns=columns)
    with replacing(path) as temporary, temporary.open("wb") as file:
        for block in blocks:
            file.write(block)


def _check_ids(ids: ArrayLike | None, n: int) -> Any:
    rows = np.arange(n) if ids is None else np.asarray(ids)
    if rows.dtype.kind not in "iuU":
        raise TypeError(f"ids must be whole numbers or texts, got {rows.dtype}")
    if rows.shape != (n,):
        raise ValueError(f"ids have the shape {rows.shape}, for {n} codes")
    return rows


def _check_vectors(X: ArrayLike, n: int) -> NDArray[Any]:
    vectors = np.asarray(X)
    if vectors.ndim != 2 or vectors.dtype.kind not in "iuf":
        raise ValueError(
            f"X must be numbers of the shape (n, d), got {vectors.dtype} of the shape "
            f"{vectors.shape}"
        )
    if len(vectors) != n:
        raise ValueError(f"X has {len(vectors)} rows for {n} codes")
    return vectors


def _blocks(
    codes: NDArray[np.uint8],
    n_bits: int,
    ids: Any,
    X: NDArray[Any] | None,
    columns: list[Sequence[Any]],
) -> Iterator[bytes]:
    for start in range(0, len(codes), _ROWS):
        part = slice(start, start + _ROWS)
        fields = [map(_field, ids[part].tolist()), codes_to_bitstrings(codes[part], n_bits)]
        if X is not None:
            fields.append(_vector_texts(X[part], start))
        fields += [map(_field, _as_python(values[part])) for values in columns]
        lines = ("\t".join(row) + "\n" for row in zip(*fields, strict=True))
        yield "".join(lines).encode()


def _as_python(values: Any) -> Any:
    return values.tolist() if hasattr(values, "tolist") else values


def _vector_texts(X: NDArray[Any], start: int) -> Iterator[str]:
    with np.errstate(over="ignore"):  # beyond single precision is infinity, which is refused
        rows = X.astype(np.float32)
    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(broken):
        raise ValueError(
            f"row {start + broken[0]} of X holds NaN, infinity or a number beyond single precision"
        )
    form = f"[{','.join(['%.9g'] * X.shape[1])}]"  # nine digits give back every float32
    return (form % tuple(row) for row in rows.tolist())


def _field(value: Any) -> str:
    """Write one value of a row; a text is told from NULL by its escaped backslashes."""
    if value is None:
        return r"\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError(f"PostgreSQL stores no text with the character 0, got {value[:80]!r}")
        return value.translate(_ESCAPES)
    if isinstance(value, np.generic):
        return _field(value.item())
    if isinstance(value, _PLAIN):
        return str(value)
    raise TypeError(
        "a value must be a text, a number, a truth value, a date, a time, a UUID or None; got "
        f"{value!r}"
    )
