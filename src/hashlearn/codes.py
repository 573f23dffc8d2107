"""Binary codes: bits, packed bytes and the Hamming distance between them.

This module is the definition. Bit ``j`` of a code is bit ``j % 8`` of byte ``j // 8``, least
significant first; the bits of the last byte that no code bit uses are 0. Whatever is faster
elsewhere in the library must give the same numbers.
"""

import re
from collections.abc import Sequence
from numbers import Integral
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

BitOrder = Literal["little", "big"]
Distance = Literal["hamming", "spherical"]

_HEXADECIMAL = re.compile("[0-9a-fA-F]+")
_BLOCK_CODES = 1 << 14
_MAX_BYTES = 8191  # longer codes would overflow a distance in uint16


def n_bytes(n_bits: int) -> int:
    """Count the bytes that a packed code takes.

    Parameters
    ----------
    n_bits : int
        Length of the code, at least 1.

    Returns
    -------
    int
        ``ceil(n_bits / 8)``.

    Raises
    ------
    TypeError
        If `n_bits` is not an integer.
    ValueError
        If `n_bits` is below 1.

    Examples
    --------
    >>> n_bytes(12)
    2
    """
    if not isinstance(n_bits, Integral) or isinstance(n_bits, bool):
        raise TypeError(f"n_bits must be an integer, got {n_bits!r}")
    if n_bits < 1:
        raise ValueError(f"n_bits must be at least 1, got {n_bits}")
    return (int(n_bits) + 7) // 8


def pack_bits(bits: ArrayLike, *, bit_order: BitOrder = "little") -> NDArray[np.uint8]:
    """Pack bits into bytes.

    Parameters
    ----------
    bits : array-like of shape (n, n_bits), bool or 0/1
        One code a row.
    bit_order : {"little", "big"}, default="little"
        Whether bit 0 is the least or the most significant of byte 0. The library, faiss and
        MATLAB's compactbit use ``"little"``; ``numpy.packbits`` and sentence-transformers use
        ``"big"``.

    Returns
    -------
    ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes; unused bits are 0.

    Raises
    ------
    ValueError
        If `bits` is not a matrix with at least one column, or holds anything but 0 and 1.

    Examples
    --------
    >>> pack_bits([[1, 0, 1, 0, 0, 0, 0, 0, 1]])
    array([[5, 1]], dtype=uint8)
    """
    _check_bit_order(bit_order)
    array = np.asarray(bits)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"bits must have the shape (n, n_bits), got {array.shape}")
    if array.dtype != bool:
        if array.dtype.kind not in "iuf" or not np.isin(array, (0, 1)).all():
            raise ValueError("bits must be boolean or hold only 0 and 1")
        array = array.astype(bool)
    return np.packbits(array, axis=1, bitorder=bit_order)


def unpack_bits(
    codes: ArrayLike, n_bits: int, *, bit_order: BitOrder = "little"
) -> NDArray[np.uint8]:
    """Unpack bytes into bits.

    Parameters
    ----------
    codes : array-like of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Length of a code.
    bit_order : {"little", "big"}, default="little"
        As in :func:`pack_bits`.

    Returns
    -------
    ndarray of shape (n, n_bits), uint8
        Bits 0/1.

    Raises
    ------
    TypeError
        If `codes` is not uint8.
    ValueError
        If `codes` has another shape than `n_bits` asks for, or a 1 among the unused bits.

    Examples
    --------
    >>> unpack_bits([[5, 1]], 9)
    array([[1, 0, 1, 0, 0, 0, 0, 0, 1]], dtype=uint8)
    """
    checked = check_codes(codes, n_bits, bit_order=bit_order)
    return np.unpackbits(checked, axis=1, count=int(n_bits), bitorder=bit_order)


def swap_bit_order(codes: ArrayLike) -> NDArray[np.uint8]:
    """Convert packed codes between the two bit orders.

    Parameters
    ----------
    codes : array-like of shape (n, n_bytes), uint8
        Codes in either order.

    Returns
    -------
    ndarray of shape (n, n_bytes), uint8
        The same codes in the other order: each byte mirrored.

    Raises
    ------
    TypeError
        If `codes` is not uint8.
    ValueError
        If `codes` is not a matrix with at least one column.

    Examples
    --------
    >>> swap_bit_order([[5, 1]])
    array([[160, 128]], dtype=uint8)
    """
    array = _check_matrix(codes)
    return _MIRRORED[array]


def codes_from_hex(hashes: Sequence[str]) -> tuple[NDArray[np.uint8], int]:
    """Read codes that are written as hexadecimal numbers, as other programs print hashes.

    Parameters
    ----------
    hashes : sequence of str
        Codes of one length, four bits a digit, in either case, with ``0x`` in front or without.

    Returns
    -------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Their length, 4 for each digit.

    Raises
    ------
    ValueError
        If there are none, one is not hexadecimal, or they have different lengths.

    Notes
    -----
    Bit 0 is the first that is written: the most significant of the first digit, as imagehash
    writes its hashes. Programs that begin at the other end, such as PDQ and pHash, give the same
    distances, as long as all codes come from one program.

    Examples
    --------
    >>> codes_from_hex(["8001", "0x000F"])
    (array([[  1, 128],
           [  0, 240]], dtype=uint8), 16)
    """
    if not hashes:
        raise ValueError("there are no hashes")
    digits = [text.removeprefix("0x") for text in hashes]
    for number, text in enumerate(digits, start=1):
        if not _HEXADECIMAL.fullmatch(text):
            raise ValueError(f"hash {number} is not a hexadecimal number: {text[:80]!r}")
        if len(text) != len(digits[0]):
            raise ValueError(
                f"hash {number} has {4 * len(text)} bits and hash 1 has {4 * len(digits[0])}; all "
                "must have one length"
            )
    odd = "0" * (len(digits[0]) % 2)  # half a byte is left over
    rows = np.frombuffer(bytes.fromhex("".join(text + odd for text in digits)), dtype=np.uint8)
    return swap_bit_order(rows.reshape(len(digits), -1)), 4 * len(digits[0])


def check_codes(
    codes: ArrayLike, n_bits: int, *, bit_order: BitOrder = "little"
) -> NDArray[np.uint8]:
    """Check that an array holds packed codes of a length.

    Parameters
    ----------
    codes : array-like of shape (n, ceil(n_bits / 8)), uint8
        Packed codes. A nested list of integers 0–255 is taken as uint8.
    n_bits : int
        Length of a code.
    bit_order : {"little", "big"}, default="little"
        As in :func:`pack_bits`.

    Returns
    -------
    ndarray of shape (n, ceil(n_bits / 8)), uint8
        `codes` as a C-contiguous array, the same memory where it was one.

    Raises
    ------
    TypeError
        If `codes` is not uint8.
    ValueError
        If `codes` has another shape than `n_bits` asks for, or a 1 among the unused bits.
    """
    _check_bit_order(bit_order)
    array = _check_matrix(codes)
    width = n_bytes(n_bits)
    if array.shape[1] != width:
        raise ValueError(
            f"codes of {n_bits} bits take {width} bytes, got {array.shape[1]} bytes a code "
            f"({8 * array.shape[1] - 7} to {8 * array.shape[1]} bits)"
        )
    if unused := 8 * width - int(n_bits):
        low = (1 << (8 - unused)) - 1
        mask = np.uint8(~low & 0xFF if bit_order == "little" else (1 << unused) - 1)
        if (array[:, -1] & mask).any():
            raise ValueError(
                f"codes of {n_bits} bits must have 0 in the last {unused} bits of their last byte; "
                "are they longer, or in the other bit order?"
            )
    return np.ascontiguousarray(array)


def hamming_distances(queries: ArrayLike, database: ArrayLike) -> NDArray[np.uint16]:
    """Compute the Hamming distance between every query and every database code.

    Parameters
    ----------
    queries : array-like of shape (q, n_bytes), uint8
        Packed codes.
    database : array-like of shape (n, n_bytes), uint8
        Packed codes.

    Returns
    -------
    ndarray of shape (q, n), uint16
        Number of bits in which the two codes differ.

    Raises
    ------
    TypeError
        If either is not uint8.
    ValueError
        If the two have codes of different lengths, or of more than 8191 bytes.

    Examples
    --------
    >>> hamming_distances([[0b101]], [[0b101], [0b100], [0b010]])
    array([[0, 1, 3]], dtype=uint16)
    """
    left, right = _check_matrix(queries), _check_matrix(database)
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"queries have {left.shape[1]} bytes a code, the database has {right.shape[1]}"
        )
    if left.shape[1] > _MAX_BYTES:
        raise ValueError(f"codes may have at most {_MAX_BYTES} bytes, got {left.shape[1]}")
    query_words, words = _as_words(left), np.ascontiguousarray(_as_words(right).T)
    distances = np.empty((len(left), len(right)), dtype=np.uint16)
    differing = np.empty(_BLOCK_CODES, dtype=np.uint64)  # one buffer that stays in the cache
    for start in range(0, len(right), _BLOCK_CODES):
        block = words[:, start : start + _BLOCK_CODES]
        buffer = differing[: block.shape[1]]
        for row, query in zip(distances, query_words, strict=True):
            part = row[start : start + _BLOCK_CODES]
            np.bitwise_xor(block[0], query[0], out=buffer)
            np.bitwise_count(buffer, out=part)
            for code_word, query_word in zip(block[1:], query[1:], strict=True):
                np.bitwise_xor(code_word, query_word, out=buffer)
                part += np.bitwise_count(buffer)
    return distances


def _as_words(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """View codes as 64-bit words, padded with zero bytes."""
    if padding := -codes.shape[1] % 8:
        codes = np.pad(codes, ((0, 0), (0, padding)))
    return np.ascontiguousarray(codes).view(np.uint64)


def _check_matrix(codes: ArrayLike) -> NDArray[np.uint8]:
    array = np.asarray(codes)
    if isinstance(codes, list) and array.dtype.kind in "iu" and array.size:
        if array.min() < 0 or array.max() > 255:
            raise ValueError("codes are bytes: whole numbers from 0 to 255")
        array = array.astype(np.uint8)
    if array.dtype != np.uint8:
        raise TypeError(
            f"packed codes must be uint8, got {array.dtype}; pack bits with pack_bits(bits)"
        )
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"packed codes must have the shape (n, n_bytes), got {array.shape}")
    return array


def _check_bit_order(bit_order: str) -> None:
    if bit_order not in ("little", "big"):
        raise ValueError(f'bit_order must be "little" or "big", got {bit_order!r}')


_MIRRORED = np.packbits(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1), axis=1, bitorder="little"
).ravel()
