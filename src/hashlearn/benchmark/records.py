"""Results on disk: rows as they finish, and the details of each run beside them.

A folder of results holds ``rows.jsonl``, one run a line, only ever appended to;
``runs/ID.npz``, what a run found for each query; and ``rows.parquet``, the rows once more for
tools that read tables. A run is known by its `id`, which follows from everything that was asked:
an interrupted benchmark goes on where it stopped, and the same question is not answered twice.
"""

import hashlib
import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hashlearn.data import Dataset
from hashlearn.data.dataset import holds_texts
from hashlearn.storage import replacing

Row = dict[str, Any]

_ASKED = ("dataset", "fingerprint", "split", "protocol", "features", "method", "parameters")


def run_id(row: Mapping[str, Any]) -> str:
    """Name a run by everything that was asked.

    Parameters
    ----------
    row : mapping
        A row, or its part that says what was asked: data set and its fingerprint, split, protocol,
        features, method, parameters, code length and seed; and the distance if it is another than
        Hamming's.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    asked = {name: row[name] for name in (*_ASKED, "n_bits", "seed")}
    if (distance := row.get("distance", "hamming")) != "hamming":
        asked["distance"] = distance
    text = json.dumps(asked, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(dataset: Dataset) -> str:
    """Tell data sets apart by what they hold, so that a changed file is measured again.

    Parameters
    ----------
    dataset : Dataset
        Items, labels and published parts.

    Returns
    -------
    str
        Shape and checksum (CRC-32).
    """
    X = _as_bytes(dataset.X) if holds_texts(dataset.X) else dataset.X
    parts = [X, *([] if dataset.y is None else [dataset.y])]
    parts += [rows for _, rows in sorted(dataset.splits.items())]
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(np.ascontiguousarray(part).view(np.uint8).data, checksum)
    return f"{'x'.join(map(str, dataset.X.shape))}-{checksum:08x}"


def _as_bytes(texts: NDArray[np.object_]) -> NDArray[np.uint8]:
    """Write texts one after the other, each behind its length."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    parts = [len(text).to_bytes(8, "little") + text for text in encoded]
    return np.frombuffer(b"".join(parts), np.uint8)


class Records:
    """Keep the results of a benchmark in a folder.

    Parameters
    ----------
    folder : path-like
        Folder of results. It is made when the first row is written.

    Raises
    ------
    NotADirectoryError
        If there is something else of that name.

    Examples
    --------
    >>> import tempfile
    >>> records = Records(tempfile.mkdtemp())
    >>> records.append({"id": "0123", "n_bits": 8}, {"hits": np.arange(3)})
    >>> records.rows(), records.details("0123")["hits"].tolist()
    ([{'id': '0123', 'n_bits': 8}], [0, 1, 2])
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"{self.folder} is a file; results are kept in a folder")

    @property
    def path(self) -> Path:
        """The file of rows."""
        return self.folder / "rows.jsonl"

    def rows(self) -> list[Row]:
        """Read the rows; of runs with one id the last, in the place of the first.

        Returns
        -------
        list of dict
            One row a run.

        Raises
        ------
        ValueError
            If a line is damaged. A last line that was cut off is left out with a warning.

        Warns
        -----
        UserWarning
            If the last line was cut off while it was written.
        """
        if not self.path.is_file():
            return []
        found: dict[str, Row] = {}
        lines = self.path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                found[row["id"]] = row
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines) and isinstance(error, ValueError):
                    warnings.warn(f"{self.path} ends in half a row: left out", stacklevel=2)
                    break
                raise ValueError(f"{self.path}, line {number} is no row: {error!r}") from error
        return list(found.values())

    def append(self, row: Row, details: Mapping[str, NDArray[Any]]) -> None:
        """Add a run: its details, then its row.

        Parameters
        ----------
        row : dict
            Plain values, with its `id`.
        details : mapping of str to ndarray
            What it found for each query.
        """
        runs = self.folder / "runs"
        runs.mkdir(parents=True, exist_ok=True)
        with replacing(runs / f"{row['id']}.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **details)
        line = json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n"
        with self.path.open("a+b") as file:
            _drop_half_a_line(file)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def details(self, id_: str) -> dict[str, NDArray[Any]] | None:
        """Read what a run found for each query.

        Parameters
        ----------
        id_ : str
            Its id.

        Returns
        -------
        dict of str to ndarray, or None
            Arrays by name; None if they were not kept.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        path = self.folder / "runs" / f"{id_}.npz"
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}") from error

    def write_parquet(self) -> Path:
        """Write the rows as a table, ``rows.parquet``, for tools that read tables.

        Returns
        -------
        Path
            The file. Scores, times and sizes are columns; protocol, split, parameters and
            provenance are columns of JSON.

        Raises
        ------
        ImportError
            If pyarrow is not installed.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist(flat_rows(self.rows()))
        target = self.folder / "rows.parquet"
        with replacing(target) as temporary:
            pq.write_table(table, temporary)
        return target


def flat_rows(rows: Sequence[Row]) -> list[Row]:
    """Flatten rows for a table: a score a column, other nested values as JSON.

    Parameters
    ----------
    rows : sequence of dict
        Rows.

    Returns
    -------
    list of dict
        Plain values, the same names in every row; None where a row has no such value. Curves are
        left out.

    Examples
    --------
    >>> flat_rows([{"id": "0", "scores": {"mean_average_precision": 0.5}, "split": {"seed": 0}}])
    [{'id': '0', 'mean_average_precision': 0.5, 'split': '{"seed": 0}'}]
    """
    flat = []
    for row in rows:
        columns: Row = {}
        for name, value in row.items():
            if name in ("scores", "bit_statistics"):
                columns |= value
            elif name not in ("curves", "history"):
                columns[name] = json.dumps(value) if isinstance(value, dict | list) else value
        flat.append(columns)
    names = dict.fromkeys(name for columns in flat for name in columns)
    return [{name: columns.get(name) for name in names} for columns in flat]


def _drop_half_a_line(file: BinaryIO) -> None:
    """Cut off what an interrupted run left of its last row."""
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)
