"""Vector files of the TEXMEX benchmarks: .fvecs, .bvecs and .ivecs, alone or as a folder."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.dataset import Dataset
from hashlearn.data.locations import naming

SUFFIXES = (".fvecs", ".bvecs", ".ivecs")
"""Extensions of the files that are read."""

PARTS = {"train": ("_base",), "test": ("_query", "_queries"), "learn": ("_learn",)}
"""How the names of a folder's files end, without extension, for each published part."""

_DTYPES = {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4"}
_BLOCK_BYTES = 1 << 24


def load_vecs(path: Path) -> Dataset:
    """Load the vectors of a file.

    Parameters
    ----------
    path : pathlib.Path
        File ending in one of `SUFFIXES`.

    Returns
    -------
    Dataset
        `X` of shape (n, d), without labels.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not what :func:`read_vecs` or `Dataset` takes.
    """
    X = read_vecs(path)
    with naming(path):
        return Dataset(path.stem, X, source=str(path))


def load_vecs_folder(folder: Path, *, name: str = "", source: str = "") -> Dataset:
    """Load a benchmark: vectors to search in, queries, and perhaps vectors to learn from.

    Parameters
    ----------
    folder : pathlib.Path
        Folder with one file ``*_base.fvecs``, one ``*_query.fvecs`` or ``*_queries.fvecs`` and
        perhaps one ``*_learn.fvecs``, or all of them ``.bvecs``. Others, such as published
        neighbours (``*_groundtruth.ivecs``), are left alone.
    name : str, default=""
        Name of the data set; that of the folder if empty.
    source : str, default=""
        Where the data come from; the folder if empty.

    Returns
    -------
    Dataset
        `X` float32 or uint8 of shape (n, d): base, queries, learn, in this order. They are its
        published parts ``"train"``, ``"test"`` and, if it is there, ``"learn"``.

    Raises
    ------
    ValueError
        If base or queries are missing, a part is there twice, the parts differ in kind or
        dimension, or a file is not what :func:`read_vecs` or `Dataset` takes.

    Notes
    -----
    The files are read into one array, block by block: no vector is in memory twice.
    """
    paths = find_parts(folder)
    if missing := [part for part in ("train", "test") if part not in paths]:
        endings = " and no ".join(f"*{PARTS[part][0]}.fvecs or .bvecs" for part in missing)
        raise ValueError(f"{folder} holds no {endings}")
    if len({path.suffix.lower() for path in paths.values()}) > 1:
        raise ValueError(f"{folder} holds both .fvecs and .bvecs files; give a folder of one kind")
    shapes = {part: vecs_shape(path) for part, path in paths.items()}
    if len({d for _, d in shapes.values()}) > 1:
        found = ", ".join(f"{paths[part].name} of {d}" for part, (_, d) in shapes.items())
        raise ValueError(f"{folder} holds vectors of different dimensions: {found}")
    ends = np.cumsum([n for n, _ in shapes.values()]).tolist()
    X = np.empty((ends[-1], shapes["train"][1]), _dtype(paths["train"]))
    splits = {}
    for (part, path), end in zip(paths.items(), ends, strict=True):
        start = end - shapes[part][0]
        read_vecs(path, out=X[start:end])
        splits[part] = np.arange(start, end)
    with naming(folder):
        return Dataset(
            name or folder.resolve().name, X, splits=splits, source=source or str(folder)
        )


def find_parts(folder: Path) -> dict[str, Path]:
    """Find the files of a benchmark.

    Parameters
    ----------
    folder : pathlib.Path
        Folder to look in; sub-folders are left alone.

    Returns
    -------
    dict of str to pathlib.Path
        The files that are there, by the names in `PARTS` and in their order.

    Raises
    ------
    ValueError
        If a part is there twice.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".fvecs", ".bvecs"))
    parts = {}
    for name, endings in PARTS.items():
        found = [path for path in files if path.stem.lower().endswith(endings)]
        if len(found) > 1:
            raise ValueError(
                f"{folder} holds two files of one part, {found[0].name} and {found[1].name}; "
                "leave one"
            )
        if found:
            parts[name] = found[0]
    return parts


def vecs_shape(path: Path) -> tuple[int, int]:
    """Tell from its first number and its size what a file holds.

    Parameters
    ----------
    path : pathlib.Path
        File ending in one of `SUFFIXES`.

    Returns
    -------
    n : int
        Number of whole vectors.
    d : int
        Dimension of the first.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the extension is another, or the file does not hold one whole vector.
    """
    itemsize = _dtype(path).itemsize
    with path.open("rb") as file:
        head = file.read(4)
        size = file.seek(0, 2)
    if not size:
        raise ValueError(f"{path} is empty: it holds no vector")
    if len(head) < 4:
        raise ValueError(f"{path} is cut off at byte {size}, in its first number")
    d = int.from_bytes(head, "little", signed=True)
    if d < 1:
        raise ValueError(f"{path} begins with the dimension {d}; it must be at least 1")
    n = size // (4 + d * itemsize)
    if not n:
        raise ValueError(
            f"{path} is cut off or no {path.suffix} file: it begins with the dimension {d}, and "
            f"holds {size} bytes of the {4 + d * itemsize} that a vector takes"
        )
    return n, d


def read_vecs(path: Path, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Read the vectors of a file, block by block into one array.

    Parameters
    ----------
    path : pathlib.Path
        File of vectors: each its dimension d as int32, then d numbers, little-endian; float32 in
        ``.fvecs``, uint8 in ``.bvecs``, int32 in ``.ivecs``.
    out : ndarray of shape (n, d), of the file's dtype, optional
        Array to read into. None makes one.

    Returns
    -------
    ndarray of shape (n, d), float32, uint8 or int32
        The vectors.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the extension is another, the file is empty or cut off, a dimension is not positive or
        not that of the first vector, or `out` has another shape or dtype.
    """
    n, d = vecs_shape(path)
    dtype = _dtype(path)
    if out is None:
        out = np.empty((n, d), dtype.newbyteorder("="))
    elif out.shape != (n, d) or out.dtype != dtype:
        raise ValueError(
            f"{path} holds {n} vectors of {d} numbers, {dtype}; out is {out.dtype} of the shape "
            f"{out.shape}"
        )
    record = np.dtype([("d", "<i4"), ("values", dtype, (d,))])
    rows = max(1, _BLOCK_BYTES // record.itemsize)
    with path.open("rb") as file:
        for start in range(0, n, rows):
            block = np.fromfile(file, record, min(rows, n - start))
            if (wrong := block["d"] != d).any():
                row = int(wrong.argmax())
                raise ValueError(
                    f"{path}: the vector at byte {(start + row) * record.itemsize} has the "
                    f"dimension {block['d'][row]}, the first has {d}"
                )
            out[start : start + len(block)] = block["values"]
        if rest := len(file.read(record.itemsize)):
            raise ValueError(
                f"{path} is cut off at byte {n * record.itemsize + rest}: the last vector begins "
                f"at byte {n * record.itemsize} and takes {record.itemsize}"
            )
    return out


def _dtype(path: Path) -> np.dtype[Any]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} has the extension {suffix!r}, expected {', '.join(SUFFIXES)}")
    return np.dtype(_DTYPES[suffix])
