"""Names, types and literals as PostgreSQL reads them."""

import re
from collections.abc import Sequence
from typing import Any

Name = str | Sequence[str]

_MAX_BYTES = 63  # PostgreSQL cuts longer names, so that two may become one
_TYPE = re.compile(
    r"[a-z_][\w.]*( [a-z_]\w*)*( ?\(\d+(, ?\d+)?\))?( [a-z_]\w*)*(\[\d*\])*", re.ASCII | re.I
)


def quoted(name: Any) -> str:
    """Quote one identifier, so that any text can be a name and none can be more than that."""
    if not isinstance(name, str):
        raise TypeError(f"a name must be a string, got {name!r}")
    try:
        n_bytes = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"a name must be valid Unicode, got {name!r}") from None
    if not 1 <= n_bytes <= _MAX_BYTES or "\0" in name:
        raise ValueError(
            f"a name must take 1 to {_MAX_BYTES} bytes in UTF-8, none of them 0; got {name!r}"
        )
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def qualified(name: Any) -> str:
    """Quote the name of a table, an index or a function, with its schema or without."""
    parts = name.split(".") if isinstance(name, str) else name
    if not isinstance(parts, Sequence) or not 1 <= len(parts) <= 2:
        raise ValueError(
            "a name must be 'table', 'schema.table' or, for names that hold dots, "
            f"('schema', 'table'); got {name!r}"
        )
    return ".".join(map(quoted, parts))


def sql_type(text: Any) -> str:
    """Check that a text can be a type, with its constraints in words, and nothing more."""
    if not isinstance(text, str) or not _TYPE.fullmatch(text):
        raise ValueError(
            f"a type must be words, perhaps with sizes in brackets, as 'text NOT NULL' or "
            f"'numeric(10, 2)'; got {text!r}"
        )
    return text


def literal(text: str) -> str:
    """Quote a text as a string, whatever the server takes backslashes for."""
    if "\0" in text:
        raise ValueError(f"a text in SQL holds no byte 0, got {text!r}")
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"


def check_whole(name: str, value: Any, lowest: int, highest: int) -> int:
    """Check that a value is a whole number within limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(f"{name} must be a whole number from {lowest} to {highest}, got {value!r}")
    return value
