"""Files that are whole or absent: atomic writes, and arrays with a JSON header.

Everything the library saves (models, indexes) is one file in the layout of `safetensors`: the
length of the header in 8 little-endian bytes, a JSON header, and then the arrays without gaps. The
header holds one JSON object of ours, with a format number, a checksum of the header itself and one
of each array. Nothing is ever unpickled.

The header is padded with spaces so that the data begin at a multiple of 64 bytes, and the arrays
stand by falling item size: the first begins at a multiple of 64 bytes, every one at a multiple of
its item size.
"""

import json
import math
import os
import secrets
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

FORMAT = 2
"""Number of the file format that this version writes and reads."""


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


@contextmanager
def making_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder to fill, and rename it to `path` when the block succeeds.

    Parameters
    ----------
    path : path-like
        Folder to make. The folder around it must exist.

    Yields
    ------
    pathlib.Path
        Temporary folder beside it. If the block raises, it is deleted.

    Raises
    ------
    FileExistsError
        If there is something at `path`.
    FileNotFoundError
        If the folder around it does not exist.

    Examples
    --------
    >>> target = Path(tempfile.mkdtemp()) / "notes"
    >>> with making_folder(target) as temporary:
    ...     _ = (temporary / "note.txt").write_text("whole")
    >>> [path.name for path in target.iterdir()]
    ['note.txt']
    """
    target = Path(path)
    if target.exists():
        raise FileExistsError(f"{target} is there already; choose another name")
    if not target.absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder {target.absolute().parent} does not exist")
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    made.mkdir()
    try:
        yield made
        made.rename(target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


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
        Arrays of any shape, byte order and numeric or boolean dtype. They are written in small
        parts, never copied whole, and may be mapped from the very file that is replaced.

    Raises
    ------
    TypeError
        If the header holds something that JSON cannot, or an array is not numeric or boolean.
    ValueError
        If the header holds NaN or infinity, a key twice, or more than 100 MB, or an array has a
        name that the file cannot hold.

    Examples
    --------
    >>> path = Path(tempfile.mkdtemp()) / "some.index"
    >>> write_arrays(path, "index", {"n_bits": 8}, {"codes": np.array([[1], [2]], np.uint8)})
    >>> read_arrays(path, "index")
    ({'n_bits': 8}, {'codes': array([[1],
           [2]], dtype=uint8)})
    """
    layout = _lay_out(arrays)
    checksums = dict.fromkeys(layout, _NO_CHECKSUM)
    head = _make_head(kind, header, layout, checksums)
    if len(head) > _MAX_HEAD:
        raise ValueError(f"the header takes {len(head)} bytes; a file holds up to {_MAX_HEAD}")
    _check_head(head)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.seek(len(head))
        for name in layout:
            checksums[name] = _write_section(file, arrays[name])
        file.seek(0)
        file.write(_make_head(kind, header, layout, checksums))  # of the same length


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
        Map the arrays from the file, read-only, instead of copying them into memory. The time does
        not depend on their size, as they are not read: :func:`verify` checks what they hold.

    Returns
    -------
    header : dict
        The header's values.
    arrays : dict of str to ndarray
        The arrays, by falling item size and then by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    IsADirectoryError
        If `path` is a folder.
    ValueError
        If the file is foreign, truncated, of another kind or format, or has a damaged header; or,
        unless it is mapped, a damaged array.

    Notes
    -----
    A mapped file may be replaced or deleted: the arrays keep what they held. It must not be
    changed in place. A mapped array begins at a multiple of its item size; the one that comes
    first in the file, at a multiple of 64 bytes.

    Examples
    --------
    >>> path = Path(tempfile.mkdtemp()) / "some.index"
    >>> write_arrays(path, "index", {}, {"ids": np.array([3, 5])})
    >>> header, arrays = read_arrays(path, "index", mmap=True)
    >>> arrays["ids"], arrays["ids"].flags.writeable
    (array([3, 5]), False)
    """
    with _open(path) as file:
        header, sections = _read_contents(file, kind)
        if mmap:
            return header, _map_sections(file, sections)
        arrays = {}
        for name, section in sections.items():
            arrays[name] = np.empty(section.shape, section.dtype)
            _read_section(file, name, section, arrays[name])
    return header, arrays


def verify(path: str | os.PathLike[str], kind: str) -> None:
    """Check every byte of a file of :func:`write_arrays`, holding little of it in memory.

    Parameters
    ----------
    path : path-like
        File to check.
    kind : str
        What the file must hold.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    IsADirectoryError
        If `path` is a folder.
    ValueError
        If the file is foreign, truncated, of another kind or format, or has a damaged header or a
        damaged array, which is named.

    Examples
    --------
    >>> path = Path(tempfile.mkdtemp()) / "some.index"
    >>> write_arrays(path, "index", {}, {"ids": np.array([3, 5])})
    >>> verify(path, "index")
    """
    with _open(path) as file:
        _, sections = _read_contents(file, kind)
        for name, section in sections.items():
            _read_section(file, name, section)


def write_estimators(path: str | os.PathLike[str], steps: Sequence[Any]) -> None:
    """Write fitted estimators, in the order in which data passes through them.

    Parameters
    ----------
    path : path-like
        File to create or replace.
    steps : sequence of estimators
        Objects that follow scikit-learn's contract: all parameters in ``get_params``, everything
        learned in attributes that end in an underscore and hold arrays, plain values, or
        dictionaries of arrays. A parameter that is a RandomState or a callable is of use in a fit
        only; it is written as None. A path is written as a string.

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
            name: None
            if isinstance(value, np.random.RandomState) or callable(value)
            else _plain(value, name)
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
        If the file is foreign, damaged, of another format, or names an unknown class or parameter.
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
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"cannot save {name}: {type(value).__name__} is neither an array nor plain")


_DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "F16": "<f2",
    "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

_ALIGNMENT = 64  # of the data: a line of the processor's cache, and its longest vector
_CHUNK = 1 << 20  # bytes that are read or written at a time
_MAX_HEAD = 100_000_000  # bytes of the JSON, as in the safetensors package
_MAX_DIMENSIONS = 64  # as in NumPy

_METADATA, _KEY = "__metadata__", "hashlearn"
_NO_CHECKSUM = "0" * 8
# The header's own checksum stands first in it, and so always at the same place.
_PLACE = 8 + json.dumps({_METADATA: {_KEY: json.dumps({"crc32": _NO_CHECKSUM})}}).index("0")

# What a file that is not ours, or no longer whole, makes the steps of reading raise.
_UNREADABLE = (KeyError, TypeError, ValueError, RecursionError)


class _Section(NamedTuple):
    """Where an array lies in a file, and what it must hold."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    checksum: str

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def end(self) -> int:
        return self.begin + self.n_bytes


def _lay_out(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Give every array its place behind the header, in the order of the file."""
    layout: dict[str, dict[str, Any]] = {}
    begin = 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        array = arrays[name]
        dtype = _little_endian(array.dtype).str
        if dtype not in _DTYPE_NAMES:
            raise TypeError(f"cannot save {name}: {array.dtype} is neither numeric nor boolean")
        if name == _METADATA:
            raise ValueError(f"cannot save an array under the name {name!r}")
        end = begin + array.nbytes
        layout[name] = {
            "dtype": _DTYPE_NAMES[dtype], "shape": list(array.shape), "data_offsets": [begin, end],
        }  # fmt: skip
        begin = end
    return layout


def _make_head(
    kind: str,
    header: Mapping[str, Any],
    layout: Mapping[str, dict[str, Any]],
    checksums: Mapping[str, str],
) -> bytes:
    """Make all that stands before the arrays; its length does not depend on the checksums."""
    document = {
        "crc32": _NO_CHECKSUM, "kind": kind, "format": FORMAT, "header": dict(header),
        "sections": checksums,
    }  # fmt: skip
    metadata = {_KEY: json.dumps(document, allow_nan=False)}
    text = json.dumps({_METADATA: metadata, **layout}).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    head = len(text).to_bytes(8, "little") + text
    return head[:_PLACE] + _checksum_of_head(head) + head[_PLACE + len(_NO_CHECKSUM) :]


def _checksum_of_head(head: bytes) -> bytes:
    """Give the checksum of all bytes before the arrays but those that hold it."""
    before = zlib.crc32(head[:_PLACE])
    return _as_text(zlib.crc32(head[_PLACE + len(_NO_CHECKSUM) :], before)).encode()


def _as_text(checksum: int) -> str:
    return f"{checksum:08x}"


def _write_section(file: BinaryIO, array: np.ndarray) -> str:
    """Write an array in C order, little-endian, and give the checksum of what was written."""
    chunks = np.nditer(
        array,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=[_little_endian(array.dtype)],
        order="C",
        casting="equiv",
        buffersize=max(_CHUNK // array.itemsize, 1),
    )
    checksum = 0
    for chunk in chunks:
        part = np.ascontiguousarray(chunk).data  # a copy of a chunk with gaps only
        file.write(part)
        checksum = zlib.crc32(part, checksum)
    return _as_text(checksum)


def _open(path: str | os.PathLike[str]) -> BufferedReader:
    source = Path(path)
    if source.is_dir():
        raise IsADirectoryError(f"{source} is a folder, not a hashlearn file")
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    return source.open("rb")


def _read_contents(file: BufferedReader, kind: str) -> tuple[dict[str, Any], dict[str, _Section]]:
    """Read what stands before the arrays, and check it."""
    try:
        n_bytes = os.fstat(file.fileno()).st_size
        head = _read_head(file, n_bytes)
        document, sections = _check_head(head)
        is_ours = document["format"] == FORMAT
        end = max((section.end for section in sections.values()), default=len(head))
        if is_ours and n_bytes != end:
            raise ValueError(f"it has {n_bytes} bytes instead of {end}")
    except _UNREADABLE as error:
        raise ValueError(
            f"{file.name} is not a hashlearn file, or it is truncated or damaged ({error})"
        ) from error
    if not is_ours:
        advice = "install a newer one" if document["format"] > FORMAT else "make the file again"
        raise ValueError(
            f"{file.name} has format {document['format']}; this version of hashlearn reads "
            f"format {FORMAT}: {advice}"
        )
    if document["kind"] != kind:
        raise ValueError(f"{file.name} holds: {document['kind']}; expected: {kind}")
    return document["header"], sections


def _read_head(file: BufferedReader, n_bytes: int) -> bytes:
    """Read what stands before the arrays, if the file can hold that much."""
    length = file.read(8)
    size = int.from_bytes(length, "little")
    if size > min(n_bytes, _MAX_HEAD) - 8:
        raise ValueError(f"a header of {size} bytes in a file of {n_bytes}")
    return length + file.read(size)


def _check_head(head: bytes) -> tuple[dict[str, Any], dict[str, _Section]]:
    """Give our JSON object and the sections, checked; of another format, no sections."""
    layout = _parse(head[8:].decode())
    document = _parse(layout.pop(_METADATA)[_KEY])
    version = document["format"]
    if type(version) is not int or version < 1:
        raise ValueError(f"its format is {version!r}")
    if version != FORMAT:
        return document, {}
    if head[_PLACE : _PLACE + len(_NO_CHECKSUM)] != _checksum_of_head(head):
        raise ValueError("the checksum of its header does not match")
    if not isinstance(document["header"], dict) or "kind" not in document:
        raise ValueError("its header has another form")
    return document, _check_layout(layout, document["sections"], len(head))


def _parse(text: str) -> dict[str, Any]:
    found = json.loads(text, object_pairs_hook=_without_repeats)
    if not isinstance(found, dict):
        raise TypeError("its header is not a JSON object")
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header holds a key twice")
    return found


def _check_layout(
    layout: Mapping[str, dict[str, Any]], checksums: Mapping[str, str], begin: int
) -> dict[str, _Section]:
    """Check that arrays stand one behind the other from a byte of the file on, aligned."""
    if list(layout) != list(checksums):
        raise ValueError("it does not have one checksum for each array")
    if begin % _ALIGNMENT:
        raise ValueError(f"its data begin at byte {begin}")
    sections: dict[str, _Section] = {}
    end = begin
    for name, entry in layout.items():
        name.encode()  # half a surrogate pair is no text, and its error a ValueError
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"array {name} has the unknown dtype {entry['dtype']!r:.99}")
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        shape = _check_shape(entry["shape"], dtype.itemsize)
        section = _Section(dtype, shape, end, checksums[name])
        if end % dtype.itemsize:
            raise ValueError(f"array {name} begins at byte {end}")
        if entry["data_offsets"] != [end - begin, section.end - begin]:
            raise ValueError(f"array {name} does not fit between {entry['data_offsets']!r:.99}")
        sections[name], end = section, section.end
    return sections


def _check_shape(shape: Any, itemsize: int) -> tuple[int, ...]:
    """Check that NumPy can make an array of the shape."""
    is_possible = (
        type(shape) is list
        and len(shape) <= _MAX_DIMENSIONS
        and all(type(side) is int and 0 <= side < 2**63 for side in shape)
        and math.prod(side or 1 for side in shape) * itemsize < 2**63  # NumPy skips zeros too
    )
    if not is_possible:
        raise ValueError(f"an array has the shape {shape!r:.99}")
    return tuple(shape)


def _read_section(
    file: BufferedReader, name: str, section: _Section, array: np.ndarray | None = None
) -> None:
    """Read a section, into an array or to nowhere, and check it."""
    size = section.n_bytes
    if array is None:
        target = memoryview(bytearray(min(size, _CHUNK)))
    else:
        target = array.reshape(-1).view(np.uint8).data
    file.seek(section.begin)
    checksum = 0
    for start in range(0, size, _CHUNK):
        stop = min(start + _CHUNK, size)
        part = target[: stop - start] if array is None else target[start:stop]
        if file.readinto(part) < len(part):
            raise ValueError(f"{file.name} became shorter while it was read")
        checksum = zlib.crc32(part, checksum)
    if _as_text(checksum) != section.checksum:
        raise ValueError(f"{file.name} is damaged: the checksum of array {name!r} does not match")


def _map_sections(file: BufferedReader, sections: Mapping[str, _Section]) -> dict[str, np.ndarray]:
    """Map a file, once, and give views of it that are plain arrays."""
    whole = np.memmap(file, np.uint8, mode="r").view(np.ndarray)
    return {
        name: whole[section.begin : section.end].view(section.dtype).reshape(section.shape)
        for name, section in sections.items()
    }


def _little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("<")
