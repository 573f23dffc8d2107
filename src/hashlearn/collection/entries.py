"""Items on their way into a collection: checked, named, with what is known of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.collection.contents import check_items, content_of, digest_of
from hashlearn.collection.database import Row
from hashlearn.collection.filters import RESERVED, fields_of
from hashlearn.collection.items import Content, KeysTakenError
from hashlearn.data import Batch, Source
from hashlearn.data.dataset import Kind
from hashlearn.data.files import FileSource
from hashlearn.data.source import ArraySource

MAX_KEY = 1024
"""Longest key, in characters."""

MAX_METADATA = 1 << 16
"""Most characters of an item's metadata in JSON."""


@dataclass(frozen=True)
class Entries:
    """Hold items that are to be written.

    Parameters
    ----------
    items : sequence of ndarray or of str
        The items.
    rows : list of tuple
        What the database says of each.
    """

    items: Sequence[Any]
    rows: list[Row]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def keys(self) -> list[str]:
        """Their keys."""
        return [row[0] for row in self.rows]

    def of(self, places: Sequence[int]) -> "Entries":
        """Take some of them.

        Parameters
        ----------
        places : sequence of int
            Which.

        Returns
        -------
        Entries
            These.
        """
        return Entries([self.items[i] for i in places], [self.rows[i] for i in places])

    def contents(self, kind: Kind, *, keep: bool, in_files: bool) -> list[Content | None]:
        """Give what is kept of each.

        Parameters
        ----------
        kind : {"images", "texts", "vectors"}
            What they are.
        keep : bool
            Whether to keep all of what stands in no file.
        in_files : bool
            Whether they stand in files.

        Returns
        -------
        list of Content or None
            One each.
        """
        return [content_of(item, kind, keep=keep, in_file=in_files) for item in self.items]


def make_entries(
    kind: Kind,
    items: Any,
    *,
    keys: Sequence[str] | None,
    sources: Sequence[str | None] | None,
    captions: Sequence[str | None] | None,
    labels: Sequence[str | None] | None,
    metadata: Sequence[Mapping[str, Any]] | None,
) -> Entries:
    """Check items and what is known of them.

    Parameters
    ----------
    kind : {"images", "texts", "vectors"}
        What the items must be.
    items : sequence of ndarray or of str, or ndarray
        Items.
    keys : sequence of str or None
        Their names. None makes one of each item, and leaves out items that come again.
    sources : sequence of str or None, or None
        Where they come from.
    captions : sequence of str or None, or None
        What people read of them.
    labels : sequence of str or None, or None
        Their classes.
    metadata : sequence of mapping or None
        Whatever else is known of them.

    Returns
    -------
    Entries
        The items.

    Raises
    ------
    TypeError
        If something has the wrong type.
    ValueError
        If a key is given twice, or numbers do not agree.
    """
    checked = check_items(items, kind)
    digests = [digest_of(item) for item in checked]
    names = [digest.hex() for digest in digests] if keys is None else check_keys(keys, len(checked))
    columns = [
        names,
        check_texts("sources", sources, len(checked)),
        check_texts("captions", captions, len(checked)),
        check_texts("labels", labels, len(checked)),
        check_metadata(metadata, len(checked)),
        digests,
    ]
    entries = Entries(checked, list(zip(*columns, strict=True)))
    if keys is None and len(set(names)) < len(names):
        first = {name: i for i, name in reversed([*enumerate(names)])}
        return entries.of(sorted(first.values()))
    return entries


def check_keys(keys: Any, n: int | None = None) -> list[str]:
    """Check keys.

    Parameters
    ----------
    keys : sequence of str
        Keys.
    n : int, default=None
        How many there must be.

    Returns
    -------
    list of str
        The keys.

    Raises
    ------
    TypeError
        If they are not strings.
    ValueError
        If one is empty, too long, no valid text or there twice, or their number is wrong.
    """
    if isinstance(keys, str | bytes) or not hasattr(keys, "__iter__"):
        raise TypeError(f"keys must be a sequence of strings, got {keys!r:.80}")
    found = list(keys)
    if n is not None and len(found) != n:
        raise ValueError(f"there are {len(found)} keys for {n} items")
    for key in found:
        if not isinstance(key, str):
            raise TypeError(f"a key must be a string, got {key!r:.80}")
        if not 0 < len(key) <= MAX_KEY:
            raise ValueError(f"a key has 1 to {MAX_KEY} characters, got {len(key)}: {key[:40]!r}")
        _check_encodable(key, "a key")
    if len(set(found)) < len(found):
        twice = next(key for i, key in enumerate(found) if key in found[:i])
        raise ValueError(f"keys must be distinct, and {twice!r} is given more than once")
    return [str(key) for key in found]


def check_texts(name: str, values: Any, n: int) -> list[str | None]:
    """Check texts that say something of items.

    Parameters
    ----------
    name : str
        What they are.
    values : sequence of str or None, or None
        Texts; None for none of any item.
    n : int
        Number of items.

    Returns
    -------
    list of str or None
        One each.

    Raises
    ------
    TypeError
        If one is neither a string nor None.
    ValueError
        If their number is wrong, or one is no valid text.
    """
    if values is None:
        return [None] * n
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be a sequence of strings, got {values!r:.80}")
    found = list(values)
    if len(found) != n:
        raise ValueError(f"there are {len(found)} {name} for {n} items")
    for value in found:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be strings or None, got {value!r:.80}")
        _check_encodable(value or "", name)
    return [None if value is None else str(value) for value in found]


def check_metadata(metadata: Any, n: int) -> list[str]:
    """Check metadata.

    Parameters
    ----------
    metadata : sequence of mapping or None
        Metadata of items; None for none of any item.
    n : int
        Number of items.

    Returns
    -------
    list of str
        JSON of each.

    Raises
    ------
    TypeError
        If one is no mapping of strings to values that JSON can hold.
    ValueError
        If their number is wrong, a name is that of an item's own field, or one is too long.
    """
    if metadata is None:
        return ["{}"] * n
    if isinstance(metadata, str | bytes | Mapping) or not hasattr(metadata, "__iter__"):
        raise TypeError(f"metadata must be a sequence of mappings, got {metadata!r:.80}")
    found = list(metadata)
    if len(found) != n:
        raise ValueError(f"there are {len(found)} metadata for {n} items")
    return [_as_json(values) for values in found]


def _as_json(values: Any) -> str:
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise TypeError(f"metadata must be a mapping of strings to values, got {values!r:.80}")
    for name in values:
        if name in RESERVED or not name:
            raise ValueError(f"metadata cannot have a field {name!r}: every item has its own")
    try:
        text = json.dumps(dict(values), ensure_ascii=False, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata must be values that JSON can hold: {error}") from error
    if len(text) > MAX_METADATA:
        raise ValueError(f"metadata have at most {MAX_METADATA} characters in JSON: {len(text)}")
    _check_encodable(text, "metadata")
    for _, value in fields_of(None, values):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"metadata have integers of 64 bits, got {value}")
    return text


def _check_encodable(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} must be valid text: {error}") from error
    if "\0" in text:
        raise ValueError(f"{name} must not hold the character NUL")


def check_same(entries: Entries, known: Mapping[str, Row]) -> None:
    """Refuse items under keys that others have.

    Parameters
    ----------
    entries : Entries
        Items that are to be added.
    known : mapping of str to tuple
        Rows of the database by their keys.

    Raises
    ------
    KeysTakenError
        If an item differs from the one with its key.
    """
    others = [row[0] for row in entries.rows if row[0] in known and known[row[0]] != row]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        named = ", ".join(map(repr, others[:3]))
        raise KeysTakenError(f"keys are there already with other items: {named}{more}; update them")


def merged(
    keys: Sequence[str],
    known: Mapping[str, Row],
    digests: Sequence[bytes] | None,
    *columns: Sequence[Any] | None,
) -> list[Row]:
    """Change what was given in rows that are there.

    Parameters
    ----------
    keys : sequence of str
        Keys of the rows.
    known : mapping of str to tuple
        The rows by their keys.
    digests : sequence of bytes or None
        New digests. None leaves them.
    *columns : sequence or None
        New sources, captions, labels and metadata. None leaves them.

    Returns
    -------
    list of tuple
        The rows.
    """
    rows = [list(known[key]) for key in keys]
    for place, column in enumerate((*columns, digests), 1):
        if column is not None:
            for row, value in zip(rows, column, strict=True):
                row[place] = value
    return [tuple(row) for row in rows]  # type: ignore[misc]


def files_of(source: Source, batch: Batch) -> list[str] | None:
    """Name the files of items.

    Parameters
    ----------
    source : Source
        Source.
    batch : Batch
        Items of it.

    Returns
    -------
    list of str or None
        Absolute paths, if each item is a file.
    """
    if not isinstance(source, FileSource):
        return None
    return [str(source.paths[row].absolute()) for row in batch.rows]


def labels_of(
    source: Source, labels: NDArray[Any] | None
) -> tuple[list[str | None] | None, list[dict[str, Any]] | None]:
    """Name the classes of items.

    Parameters
    ----------
    source : Source
        Source.
    labels : ndarray of shape (n,) or (n, n_labels), or None
        Labels as they stand there.

    Returns
    -------
    labels : list of str or None
        One each, where an item has one class.
    metadata : list of dict or None
        Where items may have several: all of each, as ``labels``.
    """
    if labels is None:
        return None, None
    names = source.dataset.label_names if isinstance(source, ArraySource) else source.label_names
    if labels.ndim == 2:
        named = names or tuple(str(column) for column in range(labels.shape[1]))
        return None, [{"labels": [named[i] for i in np.flatnonzero(row)]} for row in labels]
    if labels.dtype.kind in "iu":
        known = dict(enumerate(names or ()))
        return [None if n < 0 else known.get(n, str(n)) for n in labels.tolist()], None
    return [str(label) for label in labels], None
