"""Texts: records of a CSV or JSON Lines file, or one file a text."""

import csv
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.files import FileSource
from hashlearn.data.locations import files_in, naming, stamp_of
from hashlearn.data.source import BATCH_ROWS, Batch, Source, objects

DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""What separates the values of a record, by the extension of a file."""

JSON_LINES = (".jsonl", ".ndjson")
"""Extensions of files with a JSON object a line."""

RECORDS = (*DELIMITERS, *JSON_LINES)
"""Extensions of the files of records that are read."""

TEXTS = (".txt", ".text", "")
"""Extensions of files that are one text each; they may have none."""

Record: TypeAlias = tuple[Path, int, dict[str, Any]]
"""A record, the file that it stands in, and the line where it ends."""

_LONGEST = 1 << 30
_USUAL = "text"  # column of the texts where nobody chose


class RecordSource(Source):
    """Read texts from records: CSV with a head line, or JSON Lines.

    Parameters
    ----------
    path : pathlib.Path
        File, or folder whose files, nested ones too, are read in the order of their paths.
    column : str, default=None
        Column of the texts. None is the only one besides the following, or else ``"text"``.
    label_column : str, default=None
        Column of labels.
    name_column : str, default=None
        Column that names the texts.

    Raises
    ------
    ValueError
        If there is no record, a column is missing, or it is not clear which holds the texts.
    """

    def __init__(
        self,
        path: Path,
        *,
        column: str | None = None,
        label_column: str | None = None,
        name_column: str | None = None,
    ) -> None:
        super().__init__(path.stem, str(path), "texts")
        self._files = files_in(path, RECORDS) if path.is_dir() else [path]
        first = next(self._records(), None)
        if first is None:
            raise ValueError(f"{path} has no records")
        wanted = [name for name in (column, label_column, name_column) if name is not None]
        if len(set(wanted)) < len(wanted):
            raise ValueError(f"column, label_column and name_column must differ, got {wanted}")
        _, _, record = first
        if missing := [name for name in wanted if name not in record]:
            raise ValueError(f"{path}: no column {missing[0]!r}; there are {', '.join(record)}")
        others = [name for name in record if name not in (label_column, name_column)]
        if column is None and len(others) > 1 and _USUAL not in others:
            raise ValueError(
                f"{path} has the columns {', '.join(record)}; name that of the texts: column=..."
            )
        self.column = column or (_USUAL if _USUAL in others else others[0])
        self.label_column = label_column
        self.name_column = name_column
        self._n_rows: int | None = None

    def _count(self) -> int:
        if self._n_rows is None:
            self._n_rows = sum(1 for _ in self._records())
        return self._n_rows

    def _identify(self) -> dict[str, Any]:
        columns = [self.column, self.label_column, self.name_column]
        return {"records": stamp_of(self._files), "columns": columns}

    def batches(self, size: int = BATCH_ROWS, start: int = 0) -> Iterator[Batch]:  # noqa: D102
        records = islice(self._records(), start, None)
        while rows := list(islice(records, size)):
            texts = [_value(row, self.column, str) for row in rows]
            labels, names = None, None
            if self.label_column is not None:
                found = [_value(row, self.label_column, str | int) for row in rows]
                labels = np.array(found if {*map(type, found)} == {int} else list(map(str, found)))
            if self.name_column is not None:
                names = tuple(str(_value(row, self.name_column, str | int)) for row in rows)
            stop = start + len(rows)
            yield Batch(objects(texts), np.arange(start, stop), stop, names, labels)
            start = stop

    def _records(self) -> Iterator[Record]:
        for file in self._files:
            yield from _json_lines(file) if file.suffix.lower() in JSON_LINES else _csv(file)


class TextFileSource(FileSource):
    """Read texts that are one file each.

    A text is UTF-8, or else Latin-1, in which every byte is a letter.

    Parameters
    ----------
    path : pathlib.Path
        File, or folder of files that end in ``.txt`` or ``.text``, or have no extension.

    Raises
    ------
    ValueError
        If there are no files.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "texts", TEXTS)

    def _take(self, rows: NDArray[np.int64]) -> Batch:
        texts = []
        for row in rows:
            content = self.paths[row].read_bytes()
            try:
                texts.append(content.decode("utf-8-sig"))
            except UnicodeDecodeError:
                texts.append(content.decode("latin-1"))
        names, labels = self.names_of(rows.tolist()), self.labels_of(rows.tolist())
        return Batch(objects(texts), rows, int(rows[-1]) + 1, names, labels)


def _json_lines(file: Path) -> Iterator[Record]:
    with file.open(encoding="utf-8-sig") as lines, naming(file):
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} is not JSON: {error}") from error
            if not isinstance(record, dict):
                raise ValueError(f"line {number} holds {type(record).__name__}, not an object")
            yield file, number, record


def _csv(file: Path) -> Iterator[Record]:
    delimiter = DELIMITERS[file.suffix.lower()]
    csv.field_size_limit(_LONGEST)  # 131,072 characters otherwise, for all who read CSV
    with file.open(encoding="utf-8-sig", newline="") as lines, naming(file):
        reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
        try:
            for record in reader:
                if None in record or None in record.values():
                    raise ValueError(
                        f"line {reader.line_num} has more or fewer values than the first, which "
                        f"names {len(reader.fieldnames or ())} columns"
                    )
                yield file, reader.line_num, record
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num}: {error}") from error


def _value(row: Record, column: str, kinds: Any) -> Any:
    file, number, record = row
    value = record.get(column)
    if not isinstance(value, kinds) or isinstance(value, bool):
        found = "nothing" if value is None else repr(value)
        what = "a string" if kinds is str else "a string or a whole number"
        raise ValueError(f"{file}: line {number}: {column!r} must be {what}, got {found}")
    return value
