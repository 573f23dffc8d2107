"""Parquet files anywhere: found, checked, divided among workers, and written whole."""

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from hashlearn.codefiles import metadata
from hashlearn.data.locations import naming
from hashlearn.data.tables import PARQUET

Source = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Location = tuple[Any, str]  # of pyarrow: a file system, and a path in it

_WILDCARDS = "*?["
_ROWS_PER_PIECE = 1 << 16
_ROWS_PER_GROUP = 1 << 16
_ROWS_PER_FILE = 1 << 22
_PIECES_PER_WORKER = 4  # so that no worker waits long for the last one
_FOOTERS_AT_ONCE = 16


class Footer(NamedTuple):
    """What the end of a Parquet file says: its columns and the rows of each of its groups."""

    path: str
    schema: Any
    rows: tuple[int, ...]


def locate(place: str | os.PathLike[str]) -> Location:
    """Find the file system that a path or an address such as ``s3://...`` belongs to."""
    from pyarrow import fs

    text = os.fspath(place)
    if "://" in text:
        try:
            found: Location = fs.FileSystem.from_uri(text)
        except (ValueError, NotImplementedError) as error:
            raise ValueError(f"{text} cannot be reached: {error}") from error
        return found
    return fs.LocalFileSystem(), Path(text).absolute().as_posix()


def find_files(source: Source) -> tuple[Any, list[str]]:
    """List the files of a path, an address, a pattern, a folder, or several of these."""
    from pyarrow import fs

    places = [source] if isinstance(source, str | os.PathLike) else list(source)
    if not places:
        raise ValueError("source names no file")
    system, _ = locate(places[0])
    files: list[str] = []
    for place in places:
        own, path = locate(place)
        if type(own) is not type(system):
            raise ValueError(f"{place} and {places[0]} are on different file systems")
        kind = own.get_file_info(path).type
        if kind == fs.FileType.File:
            found = [path]
        elif kind == fs.FileType.Directory:
            found = [file for file in _walk(own, path) if file.lower().endswith(PARQUET)]
        elif any(sign in path for sign in _WILDCARDS):
            parts = path.split("/")
            fixed = next(i for i, part in enumerate(parts) if any(w in part for w in _WILDCARDS))
            below = _walk(own, "/".join(parts[:fixed]))
            found = [file for file in below if _matches(file.split("/"), parts)]
        else:
            raise FileNotFoundError(f"there is no {place}")
        if not found:
            raise ValueError(f"{place} holds no file ending in {PARQUET}")
        files += found
    return system, files


def _walk(system: Any, folder: str) -> list[str]:
    from pyarrow import fs

    chosen = fs.FileSelector(folder, allow_not_found=True, recursive=True)
    files = [info.path for info in system.get_file_info(chosen) if info.type == fs.FileType.File]
    hidden = len(folder.split("/"))
    return sorted(
        (file for file in files if not any(part[:1] == "." for part in file.split("/")[hidden:])),
        key=lambda file: file.split("/"),
    )


def _matches(parts: list[str], pattern: list[str]) -> bool:
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def read_footers(system: Any, files: Sequence[str]) -> list[Footer]:
    """Read the ends of files, many at a time: far away, each takes long and none is work."""
    import pyarrow
    from pyarrow import parquet

    def read(path: str) -> Footer:
        try:
            with system.open_input_file(path) as file, parquet.ParquetFile(file) as opened:
                groups = range(opened.metadata.num_row_groups)
                rows = tuple(opened.metadata.row_group(group).num_rows for group in groups)
                return Footer(path, opened.schema_arrow, rows)
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{path} is damaged or not a Parquet file: {error}") from error

    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        return list(pool.map(read, files))


def check_columns(footers: Sequence[Footer], wanted: Sequence[str]) -> None:
    """Refuse files that lack a column, or have another type of it than the first file."""
    first = footers[0].schema
    for path, schema, _ in footers:
        with naming(Path(path)):
            if missing := [name for name in wanted if name not in schema.names]:
                raise ValueError(f"no column {missing[0]!r}; there are {', '.join(schema.names)}")
            for name in wanted:
                if schema.names.count(name) > 1:
                    raise ValueError(f"more than one column is named {name!r}")
                if schema.field(name).type != (kind := first.field(name).type):
                    raise ValueError(
                        f"the column {name!r} holds {schema.field(name).type}, in the files "
                        f"before it {kind}"
                    )


def divide(footers: Sequence[Footer], workers: int, batch_size: int) -> list[dict[str, Any]]:
    """Divide files into pieces, in order: groups of rows, or parts of groups if these are few.

    A part is read from the beginning of its group on, so that groups are not divided without need.
    """
    n_groups = sum(len(footer.rows) for footer in footers)
    n_parts = math.ceil(_PIECES_PER_WORKER * workers / max(n_groups, 1))
    pieces: list[dict[str, Any]] = []
    for path, _, rows in footers:
        for group, count in enumerate(rows):
            step = max(batch_size, math.ceil(count / n_parts))
            for first in range(0, count, step):
                piece = {"path": path, "groups": [group], "first": first}
                piece["count"] = min(step, count - first)
                last: dict[str, Any] = pieces[-1] if pieces else {"path": None}
                if (
                    n_groups > _PIECES_PER_WORKER * workers * 4
                    and last["path"] == path
                    and last["count"] + count <= _ROWS_PER_PIECE
                ):
                    last["groups"].append(group)
                    last["count"] += count
                else:
                    pieces.append(piece)
    return [{"number": number, **piece} for number, piece in enumerate(pieces)]


def read_piece(
    system: Any, piece: Mapping[str, Any], columns: list[str], batch_size: int
) -> Iterator[Any]:
    """Read the rows of a piece as tables of at most `batch_size` rows."""
    import pyarrow
    from pyarrow import parquet

    position, first, end = 0, piece["first"], piece["first"] + piece["count"]
    with system.open_input_file(piece["path"]) as file, parquet.ParquetFile(file) as opened:
        batches = opened.iter_batches(batch_size, row_groups=piece["groups"], columns=columns)
        for batch in batches:
            start, stop = max(first - position, 0), min(end - position, batch.num_rows)
            position += batch.num_rows
            if start < stop:
                table = pyarrow.Table.from_batches([batch.slice(start, stop - start)])
                yield table.select(columns)
            if position >= end:
                return


@contextmanager
def whole_folder(output: str | os.PathLike[str]) -> Iterator[Location]:
    """Give a folder to write into, which is seen under its name only when the block succeeds.

    A folder on this machine is renamed at the end. Elsewhere nothing can be renamed at once: there
    an empty file ``_SUCCESS`` says that all is there.
    """
    from pyarrow import fs

    system, path = locate(output)
    kind = system.get_file_info(path).type
    below = fs.FileSelector(path, allow_not_found=True)
    if kind == fs.FileType.File or (kind == fs.FileType.Directory and system.get_file_info(below)):
        raise FileExistsError(f"{output} is there already; give the name of a new folder")
    if not isinstance(system, fs.LocalFileSystem):
        system.create_dir(path)
        yield system, path
        with system.open_output_stream(f"{path}/_SUCCESS"):
            return
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {output}: there is no folder {target.parent}")
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield system, temporary.as_posix()
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)  # mkdtemp gives 0700
        temporary.replace(target)  # an empty folder may be there
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class Writer:
    """Write tables into a folder, as files of some millions of rows in groups of 65,536."""

    def __init__(self, folder: Location, about: Mapping[str, Any]) -> None:
        self.n_rows = 0
        self.files: list[str] = []
        self._system, self._path = folder
        self._metadata = metadata(dict(about))
        self._held: list[Any] = []
        self._file: Any = None
        self._in_file = 0

    def write(self, table: Any) -> None:
        """Take rows; write those that make a group."""
        self._held.append(table)
        self.n_rows += table.num_rows
        if sum(held.num_rows for held in self._held) >= _ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Write the rest."""
        self._flush()
        self._end_file()

    def _flush(self) -> None:
        import pyarrow
        from pyarrow import parquet

        if not self._held:
            return
        table = pyarrow.concat_tables(self._held).replace_schema_metadata(self._metadata)
        self._held = []
        if self._file is None:
            name = f"codes-{len(self.files):05}{PARQUET}"
            self._file = parquet.ParquetWriter(
                f"{self._path}/{name}", table.schema, filesystem=self._system
            )
            self.files.append(name)
        self._file.write_table(table)
        self._in_file += table.num_rows
        if self._in_file >= _ROWS_PER_FILE:
            self._end_file()

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._in_file = None, 0
