"""Codes as other programs write them: hexadecimal numbers in a text or CSV file."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashlearn.codes import codes_from_hex
from hashlearn.data.locations import naming

TEXTS = (".txt", ".csv")
"""Endings of files of hexadecimal hashes."""

_NAMES = ("path", "file", "filename", "name")


def read_hashes(path: Path) -> tuple[NDArray[np.uint8], int, tuple[str, ...] | None]:
    """Read hexadecimal hashes, as imagehash, PDQ and pHash tools write them.

    Parameters
    ----------
    path : Path
        A .txt file with one hash a line, or a .csv file with the columns path and hash. A first
        line with the word hash in it names the columns of a .csv file, in any order and among
        others; without it they are these two.

    Returns
    -------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes; the first bit that is written is bit 0.
    n_bits : int
        Their length, 4 bits for each digit.
    names : tuple of str or None
        Paths, where the file has them.

    Raises
    ------
    ValueError
        If the file is not text, has other columns, or its hashes are not hexadecimal numbers of
        one length.
    """
    with naming(path), path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".csv":
            hashes, names = _read_columns([row for row in csv.reader(file) if row])
        else:
            hashes, names = [line.strip() for line in file if line.strip()], None
        return *codes_from_hex(hashes), names


def _read_columns(rows: list[list[str]]) -> tuple[list[str], tuple[str, ...] | None]:
    heads = [cell.strip().lower() for cell in rows[0]] if rows else []
    if "hash" not in heads:
        heads = ["path", "hash"]
    else:
        rows = rows[1:]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(heads):
            raise ValueError(
                f"row {number} has {len(row)} columns, expected {len(heads)}: {', '.join(heads)}; "
                "a first row may name the columns, path and hash among them"
            )
    hashes = [row[heads.index("hash")].strip() for row in rows]
    named = next((heads.index(name) for name in _NAMES if name in heads), None)
    return hashes, None if named is None else tuple(row[named] for row in rows)
