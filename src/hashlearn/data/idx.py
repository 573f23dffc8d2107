"""IDX: the format of MNIST's files, an array of bytes after a header."""

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an IDX file of bytes, compressed by gzip or not.

    Parameters
    ----------
    path : pathlib.Path
        File to read. Whether it is compressed is seen from its first bytes, not from its name, as
        some browsers unpack a download and keep the name.
    shape : tuple of int
        The shape it must have.

    Returns
    -------
    ndarray of shape `shape`, uint8
        Its array.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not an IDX file of bytes, has another shape, or is damaged, too short or too long.

    Notes
    -----
    The header is big-endian: two zero bytes, the type of the numbers (8: unsigned byte), the number
    of dimensions, and each dimension in four bytes. It is checked before anything that its numbers
    ask for is read.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        # GzipFile has all that is asked of a binary file here, but not its type
        file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        try:
            return _read(file, path, shape)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is damaged or cut off: {error}") from error


def _read(file: BinaryIO, path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise ValueError(f"{path} is not an IDX file: it starts with the bytes {magic.hex(' ')!r}")
    if magic[2] != _UNSIGNED_BYTE:
        raise ValueError(f"{path} holds numbers of type 0x{magic[2]:02x}, expected bytes, 0x08")
    if magic[3] != len(shape):
        raise ValueError(f"{path} has {magic[3]} dimensions, expected the shape {shape}")
    header = file.read(4 * len(shape))
    if len(header) < 4 * len(shape):
        raise ValueError(f"{path} is cut off in its header")
    found = tuple(np.frombuffer(header, ">u4").tolist())
    if found != shape:
        raise ValueError(f"{path} has the shape {found}, expected {shape}")
    size = math.prod(shape)
    data = file.read(size)
    if len(data) < size:
        raise ValueError(f"{path} is cut off: it holds {len(data)} of {size} bytes")
    if file.read(1):  # the read that also makes gzip compare its checksum
        raise ValueError(f"{path} goes on after the {size} bytes of its array")
    return np.frombuffer(data, np.uint8).reshape(shape)
