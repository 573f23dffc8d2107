"""Conditions on the items of a collection, and their SQL."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

OWN = ("key", "source", "caption")
"""Fields of every item that are texts of their own, for ``contains``."""

RESERVED = (*OWN, "label", "code", "metadata")
"""Names that a field of the metadata must not have."""

Where = Mapping[str, Any]

_MOST_FIELDS, _MOST_VALUES, _LONGEST = 100, 30_000, 10_000  # SQLite itself has such limits

_SCALARS = (str, int, float, bool)
_OPERATORS = ("min", "max", "not", "contains")


def select_ids(where: Where) -> tuple[str, list[Any]]:
    """Write the query that gives the ids of the items for which conditions hold.

    Parameters
    ----------
    where : mapping of str to object
        A condition for each field, all of which must hold. Fields are ``label`` and those of the
        metadata, with a condition that is one of

        - a value, which the field must have (or one of a list that it holds),
        - a list of values, of which it must have one,
        - ``{"min": a, "max": b}``, either of which may be missing: both ends belong to it,
        - ``{"not": value or list}``: items without the field fulfil this too,
        - ``{"contains": text}``: a part of it, upper and lower case alike.

        ``key``, ``source`` and ``caption`` take a value, or ``{"contains": text}``.

    Returns
    -------
    sql : str
        Query for ids.
    parameters : list
        Its parameters.

    Raises
    ------
    TypeError
        If a condition or a value has a type that there is not.
    ValueError
        If a condition is empty, too long or has an unknown operator, or there are too many.
    """
    if not isinstance(where, Mapping):
        raise TypeError(f"conditions must be a mapping of fields, got {where!r:.80}")
    if len(where) > _MOST_FIELDS:
        raise ValueError(f"there are at most {_MOST_FIELDS} conditions, got {len(where)}")
    parts: list[str] = []
    parameters: list[Any] = []
    for name, condition in where.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a field must be a string, got {name!r:.80}")
        sql, values = _own(name, condition) if name in OWN else _field(name, condition)
        parts.append(sql)
        parameters += values
    if len(parameters) > _MOST_VALUES:
        raise ValueError(
            f"conditions have at most {_MOST_VALUES:,} values, got {len(parameters):,}"
        )
    return " INTERSECT ".join(parts) or "SELECT id FROM items", parameters


def fields_of(label: str | None, metadata: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """List the values by which an item can be found.

    Parameters
    ----------
    label : str or None
        Its class.
    metadata : mapping of str to object
        Its metadata.

    Returns
    -------
    list of (str, object)
        Names and values: strings, numbers and truth values, also those of lists.
    """
    found: list[tuple[str, Any]] = [] if label is None else [("label", label)]
    for name, value in metadata.items():
        values = value if isinstance(value, list) else [value]
        found += [(name, one) for one in values if isinstance(one, _SCALARS)]
    return list(dict.fromkeys(found))  # 1, 1.0 and True are one value, here and in the database


def _own(name: str, condition: Any) -> tuple[str, list[Any]]:
    if isinstance(condition, str):
        return f"SELECT id FROM items WHERE {name} = ?", [condition]
    if isinstance(condition, Mapping) and set(condition) == {"contains"}:
        return f"SELECT id FROM items WHERE {name} {_LIKE}", [_pattern(condition["contains"])]
    raise TypeError(f'{name} takes a string or {{"contains": string}}, got {condition!r:.80}')


def _field(name: str, condition: Any) -> tuple[str, list[Any]]:
    if not isinstance(condition, Mapping):
        return _one_of(name, condition)
    unknown = [key for key in condition if key not in _OPERATORS]
    if unknown or not condition:
        raise ValueError(
            f"a condition has one or more of {', '.join(_OPERATORS)}, got {condition!r:.80}"
        )
    parts, parameters = [], []
    if "min" in condition or "max" in condition:
        sql, values = _between(name, condition)
        parts.append(sql)
        parameters += values
    if "contains" in condition:
        sql = f"{_FIELD} AND typeof(value) = 'text' AND value {_LIKE}"
        parts.append(sql)
        parameters += [name, _pattern(condition["contains"])]
    if "not" in condition:
        sql, values = _one_of(name, condition["not"])
        parts.append(f"SELECT id FROM items WHERE id NOT IN ({sql})")
        parameters += values
    return " INTERSECT ".join(parts), parameters


_FIELD = "SELECT DISTINCT id FROM fields WHERE name = ?"
_LIKE = "LIKE ? ESCAPE '\\'"


def _pattern(text: Any) -> str:
    if not isinstance(text, str) or not text:
        raise TypeError(f"contains takes a string that is not empty, got {text!r:.80}")
    if len(text) > _LONGEST:
        raise ValueError(f"contains takes up to {_LONGEST:,} characters, got {len(text):,}")
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _one_of(name: str, value: Any) -> tuple[str, list[Any]]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    values = [_scalar(name, one) for one in (value if is_list else [value])]
    if not values:
        raise ValueError(f"{name} must be one of no values: give at least one")
    places = ", ".join("?" * len(values))
    return f"{_FIELD} AND value IN ({places})", [name, *values]


def _between(name: str, condition: Mapping[str, Any]) -> tuple[str, list[Any]]:
    sql, parameters = _FIELD, [name]
    ends = [_scalar(name, condition[end]) for end in ("min", "max") if end in condition]
    if len({isinstance(end, str) for end in ends}) > 1:
        raise TypeError(f"min and max of {name} must both be numbers or both strings")
    for end, sign in (("min", ">="), ("max", "<=")):
        if end in condition:
            sql += f" AND value {sign} ?"
            parameters.append(condition[end])
    # numbers sort before texts: a range of one holds none of the other
    kinds = "('text')" if isinstance(ends[0], str) else "('integer', 'real')"
    return f"{sql} AND typeof(value) IN {kinds}", parameters


def _scalar(name: str, value: Any) -> Any:
    if not isinstance(value, _SCALARS) or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(f"{name} is compared with strings and numbers, got {value!r:.80}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} is compared with integers of 64 bits, got {value}")
    return value
