"""Conditions on items as expressions of Milvus.

What people write stands in no expression: values and names become digests, and texts are spelt in
letters, so that there is nothing to quote whatever version of Milvus reads it. An item's row has

- ``terms``, an array of digests, one for each value by which the item can be found,
- ``bounds``, JSON with its smallest and largest numbers and strings and its texts in lower case.

Where these cannot decide (a list with several values between two ends, a very long text), a term
says so, and the item is looked at itself, by the SQL that a collection in a folder uses.
"""

import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from hashlearn.collection.filters import OWN, Where, fields_of, select_ids
from hashlearn.collection.items import Item

MAX_TERMS = 4096
"""Most values of one item: as many as an array of Milvus holds."""

TERM = 24
"""Characters of a term."""

_MAX_BOUNDS = 60_000  # bytes; Milvus takes 65,536 of JSON
_LONGEST = 64  # bytes of a string that a bound holds
_TEXTS = (4000, 400, 40, 0)  # bytes of a text that are kept, the first that fits
_LETTERS = {
    byte: "abcdefghijklmnop"[byte >> 4] + "ABCDEFGHIJKLMNOP"[byte & 15] for byte in range(256)
}
_BETWEEN = "0"  # two texts: no letter, so that nothing is found across them
_NONE = "id < 0"


def terms_of(item: Item) -> list[str]:
    """List the terms of an item.

    Parameters
    ----------
    item : Item
        Item.

    Returns
    -------
    list of str
        Its terms.

    Raises
    ------
    ValueError
        If they are too many.
    """
    found = {_term(name, value) for name, value in _values_of(item)}
    for name, values in _by_name(item).items():
        numbers, strings = _split(values)
        found |= {_flag(name, "numbers")} if len(numbers) > 1 else set()
        if len(strings) > 1 or any(len(text.encode()) > _LONGEST for text in strings):
            found.add(_flag(name, "strings"))
    found |= {_flag(name, "texts") for name in _bounds(item)[1]}
    if len(found) > MAX_TERMS:
        raise ValueError(
            f"an item in Milvus has at most {MAX_TERMS:,} values, and {item.key!r} {len(found):,}"
        )
    return sorted(found)


def bounds_of(item: Item) -> dict[str, str]:
    """Give the bounds of an item.

    Parameters
    ----------
    item : Item
        Item.

    Returns
    -------
    dict of str to str
        Its bounds.
    """
    return _bounds(item)[0]


def expressions(where: Where, *, can_negate: bool) -> tuple[str, str | None]:
    """Write conditions as expressions.

    Parameters
    ----------
    where : mapping
        Conditions, as :func:`~hashlearn.collection.filters.select_ids` takes them.
    can_negate : bool
        Whether Milvus knows ``not``.

    Returns
    -------
    sure : str
        Holds only for items that fulfil the conditions. Empty for all items.
    doubtful : str or None
        Holds for items that may do so besides. None if there are none such.

    Raises
    ------
    TypeError
        If a condition has the wrong type.
    ValueError
        If a condition is malformed.
    """
    select_ids(where)  # the same errors as elsewhere
    sure, possible, doubts = [], [], []
    for name, condition in where.items():
        for expression, doubt in _conditions(name, condition, can_negate):
            sure.append(expression)
            possible.append(_either(expression, doubt))
            doubts += [doubt] if doubt else []
    if not doubts:
        return " and ".join(sure), None
    return " and ".join(sure), " and ".join([*possible, _either(*doubts)])


def fulfilling(items: Mapping[str, Item], where: Where) -> list[str]:
    """Decide by the items themselves whether they fulfil conditions.

    Parameters
    ----------
    items : mapping of str to Item
        Items under any names.
    where : mapping
        Conditions.

    Returns
    -------
    list of str
        Names of those that do.
    """
    names = list(items)
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, key, source, caption)")
        connection.execute("CREATE TABLE fields (name, value, id INTEGER)")
        for place, item in enumerate(items.values()):
            row = (place, item.key, item.source, item.caption)
            connection.execute("INSERT INTO items VALUES (?, ?, ?, ?)", row)
            values = [(*one, place) for one in fields_of(item.label, item.metadata)]
            connection.executemany("INSERT INTO fields VALUES (?, ?, ?)", values)
        found = connection.execute(*select_ids(where)).fetchall()
    finally:
        connection.close()
    return [names[place] for (place,) in sorted(found)]


def any_of(field: str, values: Iterable[str]) -> str:
    """Write that a field is one of some digests.

    Parameters
    ----------
    field : str
        Field.
    values : iterable of str
        Hexadecimal digits, or whatever needs no quoting.

    Returns
    -------
    str
        Expression.
    """
    return f"{field} in [{_listed(values)}]"


def _conditions(name: str, condition: Any, can_negate: bool) -> list[tuple[str, str | None]]:
    """Give expressions, and for each one in which items it cannot decide."""
    if not isinstance(condition, Mapping):
        return [(_has(name, condition), None)]
    found: list[tuple[str, str | None]] = []
    ends = [condition[end] for end in ("min", "max") if end in condition]
    if ends:
        found.append(
            _between(name, condition, "strings" if isinstance(ends[0], str) else "numbers")
        )
    if "contains" in condition:
        pattern = _spelt(condition["contains"].encode().lower())
        found.append((f'{_path(name, "t")} like "%{pattern}%"', _is(_flag(name, "texts"))))
    if "not" in condition:
        negated = f"not ({_has(name, condition['not'])})"
        found.append((negated, None) if can_negate else (_NONE, "id >= 0"))
    return found


def _has(name: str, value: Any) -> str:
    values = [value] if isinstance(value, str | int | float) else value
    terms = sorted({_term(name, one) for one in values})
    return f"array_contains_any(terms, [{_listed(terms)}])"


def _between(name: str, condition: Mapping[str, Any], kind: str) -> tuple[str, str | None]:
    parts = []
    for end, place, sign in (("min", 1, ">="), ("max", 0, "<=")):
        if end in condition:
            bound = _bound(condition[end])
            # a bound of strings is cut off, and nothing cut off is decided here
            parts.append(f'{_path(name, f"{kind[0]}{place}")} {sign} "{bound}"')
    doubt = None
    if kind == "strings" or len(parts) == 2:
        doubt = _is(_flag(name, kind))
        parts.append(f'{_path(name, f"{kind[0]}m")} == "one"')
    return " and ".join(parts), doubt


def _bounds(item: Item) -> tuple[dict[str, str], list[str]]:
    """Give the bounds of an item, and the fields of which a text was too long."""
    found: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    for name, values in _by_name(item).items():
        numbers, strings = _split(values)
        texts[name] = strings
        if name in OWN:
            continue
        if numbers:
            keys = sorted(_bound(number) for number in numbers)
            found |= {_name(name, "n0"): keys[0], _name(name, "n1"): keys[-1]}
            found |= {_name(name, "nm"): "one"} if len(numbers) == 1 else {}
        if len(strings) == 1 and len(strings[0].encode()) <= _LONGEST:
            (key,) = (_bound(text) for text in strings)
            found |= {_name(name, "s0"): key, _name(name, "s1"): key, _name(name, "sm"): "one"}
    for n_kept in _TEXTS:
        kept, long = dict(found), []
        for name, strings in texts.items():
            data = [text.encode().lower() for text in strings]
            if sum(map(len, data)) > n_kept:
                long.append(name)
            elif data:
                kept[_name(name, "t")] = _BETWEEN.join(map(_spelt, data))
        if len(json.dumps(kept)) <= _MAX_BOUNDS:
            return kept, long
    raise ValueError(f"the metadata of {item.key!r} have too many fields for Milvus")


def _values_of(item: Item) -> list[tuple[str, Any]]:
    own = {"key": item.key, "source": item.source, "caption": item.caption}
    named = [(name, text) for name, text in own.items() if text is not None]
    return [*named, *fields_of(item.label, item.metadata)]


def _by_name(item: Item) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, value in _values_of(item):
        found.setdefault(name, []).append(value)
    return found


def _split(values: list[Any]) -> tuple[list[Any], list[str]]:
    strings = [value for value in values if isinstance(value, str)]
    return [value for value in values if not isinstance(value, str)], strings


def _term(name: str, value: Any) -> str:
    """Sum up a value of a field: 1, 1.0 and True are one value."""
    if not isinstance(value, str):
        return _digest("number", name, _bound(value))
    return _digest("string", name, value)


def _flag(name: str, kind: str) -> str:
    return _digest("several", name, kind)


def _digest(*parts: str) -> str:
    data = b"".join(b"%d " % len(part.encode()) + part.encode() for part in parts)
    return hashlib.sha256(data).hexdigest()[:TERM]


def _name(name: str, kind: str) -> str:
    return f"{_digest('name', name)[:16]}{kind}"


def _path(name: str, kind: str) -> str:
    return f'bounds["{_name(name, kind)}"]'


def _is(term: str) -> str:
    return f'array_contains(terms, "{term}")'


def _either(*expressions: str | None) -> str:
    return "(" + " or ".join(dict.fromkeys(one for one in expressions if one)) + ")"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _spelt(data: bytes) -> str:
    """Spell bytes in two letters each, of which no second can be taken for a first."""
    return "".join(map(_LETTERS.__getitem__, data))


def _bound(value: Any) -> str:
    """Write a number or a string so that the order of texts is that of values, exactly."""
    if isinstance(value, str):
        return value.encode().hex()
    rounded = float(value) + 0.0  # not -0.0
    (bits,) = struct.unpack(">Q", struct.pack(">d", rounded))
    ordered = bits ^ (0xFFFF_FFFF_FFFF_FFFF if bits >> 63 else 1 << 63)
    rest = int(value) - int(rounded) if isinstance(value, int) else 0  # of large integers
    return f"{ordered:016x}{rest + 0x8000:04x}"
