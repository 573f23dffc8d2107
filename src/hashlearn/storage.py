"""Files that are whole or absent: atomic writes, and arrays with a JSON header.

Everything the library saves (models, indexes) is one `safetensors` file: named arrays and, in the
header, one JSON object with a format number and a checksum. Nothing is ever unpickled.
"""

import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

FORMAT = 1
"""Number of the file format that this version writes; newer files are refused."""

_HEADER_KEY = "hashlearn"


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name to write to, and rename it to `path` when the block succeeds.

    Parameters
    ----------
    path : path-like
        File to create or replace. Its folder must exist.

    Yields
    ------
    pathlib.Path
        Temporary file in the same folder. If the block raises, it is deleted and `path` is
        untouched.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist.
    IsADirectoryError
        If `path` is a folder.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist")
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp gives 0600, an ordinary file has the umask's mode
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_arrays(
    path: str | os.PathLike[str],
    kind: str,
    header: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Write named arrays and a JSON header into one file, atomically.

    Parameters
    ----------
    path : path-like
        File to create or replace.
    kind : str
        What the file holds, such as ``"index"``; :func:`read_arrays` must ask for the same.
    header : mapping
        Values that JSON can hold.
    arrays : mapping of str to ndarray
        Arrays of any shape and numeric or boolean dtype.

    Raises
    ------
    TypeError
        If the header holds something that JSON cannot, or an array is not numeric or boolean.
    ValueError
        If the header holds NaN or infinity.
    """
    stored = {name: _little_endian(name, array) for name, array in arrays.items()}
    document = {"kind": kind, "format": FORMAT, "header": dict(header)}
    document = json.loads(json.dumps(document, allow_nan=False))  # what a reader will see
    document["crc32"] = _checksum(document, stored)
    with replacing(path) as temporary:
        save_file(stored, temporary, metadata={_HEADER_KEY: json.dumps(document)})


def read_arrays(
    path: str | os.PathLike[str], kind: str, *, mmap: bool = False
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file of :func:`write_arrays`.

    Parameters
    ----------
    path : path-like
        File to read.
    kind : str
        What the file must hold.
    mmap : bool, default=False
        Map the arrays from the file, read-only, instead of copying them into memory.

    Returns
    -------
    header : dict
        The header's values.
    arrays : dict of str to ndarray
        The arrays.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is foreign, truncated, damaged, of another kind, or of a newer format.
    """
    source = Path(path)
    if source.is_dir():
        raise IsADirectoryError(f"{source} is a folder, not a hashlearn file")
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    try:
        document = _read_document(source)
        is_newer = document["format"] > FORMAT
        arrays = {} if is_newer else _map_arrays(source)
    except _UNREADABLE as error:
        raise ValueError(
            f"{source} is not a hashlearn file, or it is truncated or damaged ({error})"
        ) from error
    if is_newer:
        raise ValueError(
            f"{source} has format {document['format']}; this version of hashlearn reads up to "
            f"{FORMAT}: install a newer one"
        )
    if document["kind"] != kind:
        raise ValueError(f"{source} holds: {document['kind']}; expected: {kind}")
    if _checksum(document, arrays) != document["crc32"]:
        raise ValueError(f"{source} is damaged: its checksum does not match its contents")
    if not mmap:
        arrays = {name: np.array(array) for name, array in arrays.items()}
    header: dict[str, Any] = document["header"]
    return header, arrays


def write_estimators(path: str | os.PathLike[str], steps: Sequence[Any]) -> None:
    """Write fitted estimators, in the order in which data passes through them.

    Parameters
    ----------
    path : path-like
        File to create or replace.
    steps : sequence of estimators
        Objects that follow scikit-learn's contract: all parameters in ``get_params``, everything
        learned in attributes that end in an underscore and hold arrays, plain values, or
        dictionaries of arrays.

    Raises
    ------
    TypeError
        If a parameter or attribute is of another kind.
    ValueError
        If a parameter or a plain value is NaN or infinity.
    """
    header, arrays = [], {}
    for number, step in enumerate(steps):
        learned: dict[str, Any] = {}
        for name, value in vars(step).items():
            if not _is_learned(name):
                continue
            if isinstance(value, np.ndarray) and value.dtype != object:
                arrays[f"{number}.{name}"] = value
            elif isinstance(value, dict):
                if not all(
                    isinstance(key, str) and isinstance(item, np.ndarray)
                    for key, item in value.items()
                ):
                    raise TypeError(f"cannot save {name}: a dictionary must hold arrays by name")
                learned[name] = dict.fromkeys(value)  # the keys; a list would be a plain value
                arrays |= {f"{number}.{name}.{key}": item for key, item in value.items()}
            else:
                learned[name] = _plain(value, name)
        params = {
            name: None if isinstance(value, np.random.RandomState) else _plain(value, name)
            for name, value in step.get_params(deep=False).items()
        }
        header.append({"class": type(step).__name__, "params": params, "learned": learned})
    write_arrays(path, "model", {"steps": header}, arrays)


def read_estimators(path: str | os.PathLike[str], find_class: Callable[[str], Any]) -> list[Any]:
    """Read fitted estimators.

    Parameters
    ----------
    path : path-like
        File of :func:`write_estimators`.
    find_class : callable
        Gives the class for its name; must raise ValueError for a name that it does not know.

    Returns
    -------
    list of estimators
        Fitted, in their order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is foreign, damaged, of a newer format, or names an unknown class or parameter.
    """
    header, arrays = read_arrays(path, "model")
    try:
        steps = [
            _read_step(entry, f"{number}.", arrays, find_class)
            for number, entry in enumerate(header["steps"])
        ]
        if arrays:
            raise TypeError(f"it holds arrays of no step: {', '.join(arrays)}")
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a valid model: {error}") from error
    return steps


def _read_step(
    entry: dict[str, Any],
    prefix: str,
    arrays: dict[str, np.ndarray],
    find_class: Callable[[str], Any],
) -> Any:
    """Make one estimator and take its arrays, whose names start with the prefix."""
    if not isinstance(entry["class"], str):
        raise TypeError(f"a class is named {entry['class']!r}")
    step = find_class(entry["class"])(**entry["params"])
    learned = dict(entry["learned"].items())
    for name, value in learned.items():
        if isinstance(value, dict):
            learned[name] = {key: arrays.pop(f"{prefix}{name}.{key}") for key in value}
        elif name == "feature_names_in_":
            learned[name] = np.array(value, dtype=object)
    for full in [full for full in arrays if full.startswith(prefix)]:
        learned[full.removeprefix(prefix)] = arrays.pop(full)
    for name, value in learned.items():
        if not _is_learned(name):  # a file must not replace methods
            raise TypeError(f"{name} is not the name of a learned attribute")
        setattr(step, name, value)
    return step


def _is_learned(name: str) -> bool:
    return name.isidentifier() and name.endswith("_") and not name.startswith("_")


def _plain(value: Any, name: str) -> Any:
    """Turn NumPy scalars, tuples and arrays of names into what JSON holds; refuse the rest."""
    if isinstance(value, np.ndarray | tuple | list):
        return [_plain(item, name) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot save {name}: {type(value).__name__} is neither an array nor plain")


_DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "F16": "<f2",
    "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip

# What a file that is not ours, or no longer whole, makes the steps of reading raise.
_UNREADABLE = (
    SafetensorError, KeyError, TypeError, ValueError, OSError, OverflowError, RecursionError,
)  # fmt: skip


def _little_endian(name: str, array: np.ndarray) -> np.ndarray:
    """Give an array the byte order and layout of the file, without a copy where it has them."""
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in _DTYPES.values():
        raise TypeError(f"cannot save {name}: {array.dtype} is neither numeric nor boolean")
    return np.asarray(array, dtype=dtype, order="C")


def _checksum(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> int:
    plain = {name: value for name, value in document.items() if name != "crc32"}
    value = zlib.crc32(json.dumps(plain, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        value = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), value)
        value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return value


def _read_document(path: Path) -> dict[str, Any]:
    """Read the JSON of a file; only that of a newer format may have another form."""
    with safe_open(path, framework="numpy") as opened:
        metadata = opened.metadata() or {}
    document = json.loads(metadata[_HEADER_KEY])
    version = document["format"]
    if type(version) is not int or version < 1:
        raise ValueError(f"its format is {version!r}")
    if version <= FORMAT:
        if type(document["crc32"]) is not int:
            raise ValueError(f"its checksum is {document['crc32']!r}")
        if not isinstance(document["header"], dict) or "kind" not in document:
            raise ValueError("its header has another form")
    return dict(document)


def _map_arrays(path: Path) -> dict[str, np.ndarray]:
    """Map every array of a safetensors file that `safe_open` has found to be well formed."""
    with path.open("rb") as file:
        start = 8 + (size := int.from_bytes(file.read(8), "little"))
        layout = json.loads(file.read(size))
    layout.pop("__metadata__", None)
    arrays: dict[str, np.ndarray] = {}
    for name, entry in layout.items():
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"array {name} has the unknown dtype {entry['dtype']}")
        dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
        if 0 in shape:  # an empty array has no bytes to map
            arrays[name] = np.empty(shape, dtype)
            arrays[name].flags.writeable = False
        else:
            offset = start + entry["data_offsets"][0]
            arrays[name] = np.memmap(path, dtype, mode="r", offset=offset, shape=shape)
    return arrays
