"""Parquet and Arrow files: vectors, texts or images in one column, or numbers in several."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hashlearn.data.columns import choose_columns
from hashlearn.data.images import Mode
from hashlearn.data.locations import files_in, stamp_of
from hashlearn.data.source import BATCH_ROWS, Batch, Source

PARQUET = ".parquet"
"""Extension of Parquet files."""

SUFFIXES = (PARQUET, ".arrow", ".feather")
"""Extensions of the files that are read."""

_BUFFER_BYTES = 1 << 20
"""Bytes of a column that are read ahead, instead of all that it has in a group of rows."""


class TableSource(Source):
    """Read a Parquet or Arrow file, or a folder of them, a batch at a time.

    Parameters
    ----------
    path : pathlib.Path
        File, or folder whose files, nested ones too, are read in the order of their paths.
    column : str, default=None
        Column of the items: lists of numbers, all equally long; texts; or images, as the bytes of
        their files. None takes the only column of lists of numbers; without one, all columns of
        numbers, in their order, but for `label_column` and `name_column`.
    label_column : str, default=None
        Column of labels: whole numbers, strings, booleans, or lists of 0 and 1.
    name_column : str, default=None
        Column of item names: strings, or whole numbers, which become strings.
    image_size : tuple of int (height, width), default=None
        Size to bring images to. None keeps theirs.
    mode : {"rgb", "grey"}, default="rgb"
        Whether images have three channels, or none.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If a file is damaged, a column is missing or holds something else, files differ in their
        columns, or there are no rows.
    """

    def __init__(
        self,
        path: Path,
        *,
        column: str | None = None,
        label_column: str | None = None,
        name_column: str | None = None,
        image_size: tuple[int, int] | None = None,
        mode: Mode = "rgb",
    ) -> None:
        self._files = _files(path)
        self._lengths: list[int] = []
        columns, schema = None, None
        for file in self._files:
            with _opened(file) as table:
                if columns is None:
                    columns = choose_columns(
                        table.schema, column, label_column, name_column, image_size, mode
                    )
                    schema = _part(table.schema, columns.names)
                elif _part(table.schema, columns.names) != schema:
                    raise ValueError("it has other columns or types than the files before it")
                self._lengths.append(table.n_rows)
        if columns is None or not sum(self._lengths):
            raise ValueError(f"{path} has no rows")
        self.columns = columns
        super().__init__(path.stem, str(path), columns.kind)

    def _count(self) -> int:
        return sum(self._lengths)

    def _identify(self) -> dict[str, Any]:
        columns = self.columns
        asked = [columns.items, columns.label, columns.name, columns.image_size, columns.mode]
        return {"table": stamp_of(self._files), "columns": asked}

    def batches(self, size: int = BATCH_ROWS, start: int = 0) -> Iterator[Batch]:  # noqa: D102
        before = 0
        for file, n_rows in zip(self._files, self._lengths, strict=True):
            if start < before + n_rows:
                first = max(start, before)
                with _opened(file) as table:
                    for part in table.read(self.columns.names, size, first - before):
                        yield self.columns.batch(part, first)
                        first += len(part)
            before += n_rows


def opened_tables(path: Path) -> Iterator["Table"]:
    """Open the files of a path, one after the other.

    Parameters
    ----------
    path : pathlib.Path
        File, or folder whose files, nested ones too, are opened in the order of their paths.

    Yields
    ------
    Table
        An open file, until the next is asked for.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If a file is damaged.
    """
    for file in _files(path):
        with _opened(file) as table:
            yield table


class Table:
    """Read the rows of one open file.

    Parameters
    ----------
    schema : pyarrow.Schema
        Its columns.
    lengths : list of int
        Rows of each of its groups of rows.
    read : callable
        Reads record batches: takes the names of columns, the rows of a batch and the numbers of
        groups.
    """

    def __init__(self, schema: Any, lengths: list[int], read: Callable[..., Iterator[Any]]) -> None:
        self.schema = schema
        self.n_rows = sum(lengths)
        self._lengths = lengths  # of its groups of rows
        self._read = read

    def read(self, names: list[str], size: int, start: int) -> Iterator[Any]:
        """Read record batches; groups of rows before the first are passed over unread.

        Parameters
        ----------
        names : list of str
            Columns.
        size : int
            Rows of a batch at most.
        start : int
            First row.

        Yields
        ------
        pyarrow.RecordBatch
            The next rows.
        """
        group = 0
        while group < len(self._lengths) and start >= self._lengths[group]:
            start -= self._lengths[group]
            group += 1
        for batch in self._read(names, size, range(group, len(self._lengths))):
            if start >= len(batch):
                start -= len(batch)
                continue
            yield batch.slice(start)
            start = 0


def _files(path: Path) -> list[Path]:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "reading Parquet needs pyarrow: pip install 'hashlearn[parquet]'"
        ) from error
    return files_in(path, SUFFIXES) if path.is_dir() else [path]


@contextmanager
def _opened(file: Path) -> Iterator[Table]:
    import pyarrow

    is_parquet = file.suffix.lower() == PARQUET
    try:
        with (_parquet if is_parquet else _arrow)(file) as table:
            yield table
    except (pyarrow.ArrowException, OSError) as error:
        kind = "a Parquet file" if is_parquet else "an Arrow file"
        raise ValueError(f"{file} is damaged or not {kind}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


@contextmanager
def _parquet(file: Path) -> Iterator[Table]:
    from pyarrow import parquet

    # Without a buffer a whole column of a group of rows is read before its first value.
    with parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False) as opened:
        groups = [opened.metadata.row_group(i).num_rows for i in range(opened.num_row_groups)]

        def read(names: list[str], size: int, wanted: range) -> Iterator[Any]:
            yield from opened.iter_batches(size, row_groups=list(wanted), columns=names)

        yield Table(opened.schema_arrow, groups, read)


@contextmanager
def _arrow(file: Path) -> Iterator[Table]:
    """Open a file of Arrow's interchange format; a stream, which has no list of its parts, too."""
    import pyarrow
    from pyarrow import ipc

    with pyarrow.memory_map(str(file)) as mapped:
        try:
            opened = ipc.open_file(mapped)
            parts = [opened.get_batch(i) for i in range(opened.num_record_batches)]
        except pyarrow.ArrowInvalid:
            mapped.seek(0)
            opened = ipc.open_stream(mapped)
            parts = list(opened)

        def read(names: list[str], size: int, wanted: range) -> Iterator[Any]:
            for i in wanted:
                part = parts[i].select(names)
                for start in range(0, len(part), size):
                    yield part.slice(start, size)

        yield Table(opened.schema, [len(part) for part in parts], read)


def _part(schema: Any, names: list[str]) -> list[tuple[str, Any]]:
    """List names and types of columns; those that are not there have none."""
    return [(name, schema.field(name).type if name in schema.names else None) for name in names]
