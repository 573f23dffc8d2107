"""Where files are looked for, and how errors name them."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "HASHLEARN_DATA"
"""Environment variable that names a folder of data sets, one sub-folder each."""


def cache_folder() -> Path:
    """Name the folder that downloads go to.

    Returns
    -------
    pathlib.Path
        The user's cache folder for the library; it need not exist.
    """
    import pooch

    return Path(pooch.os_cache("hashlearn"))


def search_folders(folder: str) -> list[Path]:
    """List the folders in which a data set is looked for, in order.

    Parameters
    ----------
    folder : str
        Sub-folder of the data set, such as ``"mnist"``.

    Returns
    -------
    list of pathlib.Path
        The sub-folder of the folder that the environment variable ``HASHLEARN_DATA`` names, if it
        is set, and that of the user's cache.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    roots = [cache_folder()]
    if given := os.environ.get(VARIABLE):
        root = Path(given).expanduser()
        if not root.is_dir():
            raise FileNotFoundError(f"the environment variable {VARIABLE} names no folder: {given}")
        roots.insert(0, root)
    return [root / folder for root in roots]


def find_file(folder: str, *names: str) -> Path | None:
    """Find the first file there is.

    Parameters
    ----------
    folder : str
        Sub-folder of the data set.
    *names : str
        Names that the file may have, in order of preference.

    Returns
    -------
    pathlib.Path or None
        The file, from the first folder that has it under any of the names.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    places = (place / name for place in search_folders(folder) for name in names)
    return next((place for place in places if place.is_file()), None)


def not_found(folder: str, names: str, remedy: str) -> FileNotFoundError:
    """Word the error for files that are nowhere.

    Parameters
    ----------
    folder : str
        Sub-folder of the data set.
    names : str
        The files that were looked for.
    remedy : str
        How to get them.

    Returns
    -------
    FileNotFoundError
        An error that says where they were looked for and how to get them.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    looked = " nor in ".join(map(str, search_folders(folder)))
    unset = "" if os.environ.get(VARIABLE) else f" ({VARIABLE} is not set)"
    return FileNotFoundError(f"there is no {names} in {looked}{unset}; {remedy}")


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files of a folder that have one of some extensions.

    Parameters
    ----------
    folder : pathlib.Path
        Folder to look in.
    suffixes : tuple of str
        Extensions in lower case, each with its dot; a file's may be in upper case.

    Returns
    -------
    list of pathlib.Path
        Files of the folder and of its sub-folders, in the order of their paths, which is the same
        on every machine. Hidden files and folders are left out.
    """
    found: list[Path] = []
    places = [iter(_entries(folder))]
    while places:  # a folder comes where its name stands among those of files
        entry = next(places[-1], None)
        if entry is None:
            places.pop()
        elif entry.is_dir(follow_symlinks=False):
            places.append(iter(_entries(entry.path)))
        elif _suffix(entry.name) in suffixes and entry.is_file():
            found.append(Path(entry.path))
    return found


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{dot}{suffix}".lower() if stem and suffix else ""


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(
            (entry for entry in entries if not entry.name.startswith(".")),
            key=lambda entry: entry.name,
        )


def stamp_of(paths: Sequence[Path]) -> str:
    """Sum up which files there are, how long they are and when they were last changed.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Files.

    Returns
    -------
    str
        A checksum in hexadecimal: another one as soon as a file is added, renamed or changed. What
        the files hold is not read.
    """
    stamp = hashlib.sha256()
    for path in paths:
        about = path.stat()
        stamp.update(f"{path.absolute()}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return stamp.hexdigest()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of a file in front of what a `ValueError` in the block says.

    Parameters
    ----------
    path : pathlib.Path
        The file that the block is about.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    ValueError
        If the block raises one.

    Examples
    --------
    >>> with naming(Path("a.npy")):
    ...     raise ValueError("X is empty")
    Traceback (most recent call last):
    ValueError: a.npy: X is empty
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
