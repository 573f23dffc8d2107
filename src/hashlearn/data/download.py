"""Downloads: whole and checked, or not there at all."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hashlearn.data.locations import VARIABLE, cache_folder, find_file, not_found

if TYPE_CHECKING:
    from rich.console import Console

_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class RemoteFile:
    """Name a published file and what it must contain.

    Parameters
    ----------
    url : str
        Address, http or https; its last part is the file's name.
    checksum : str
        Published checksum with its kind, such as ``"md5:f68b…"``.

    Examples
    --------
    >>> RemoteFile("https://example.org/a/labels.gz", "md5:0cc1").name
    'labels.gz'
    """

    url: str
    checksum: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.url.rsplit("/", 1)[-1]


class DownloadProgress:
    """Show a download as a bar: the object that pooch's downloaders report to.

    Parameters
    ----------
    description : str
        What is downloaded.
    console : rich.console.Console, default=None
        Where to draw. None means standard error. Nothing is drawn unless it is a terminal.

    Attributes
    ----------
    done : int
        Bytes that have arrived.

    Examples
    --------
    >>> with DownloadProgress("labels.gz") as progress:
    ...     progress.total = 10
    ...     progress.update(4)
    >>> progress.done
    4
    """

    def __init__(self, description: str, console: "Console | None" = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

        console = console or Console(stderr=True)
        self._bar = Progress(
            "{task.description}",
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(description, total=None)

    @property
    def total(self) -> int:
        """Bytes to come in all; 0 while that is unknown."""
        return int(self._bar.tasks[0].total or 0)

    @total.setter
    def total(self, value: int) -> None:
        self._bar.update(self._task, total=value or None)

    @property
    def done(self) -> int:
        """Bytes that have arrived."""
        return int(self._bar.tasks[0].completed)

    def update(self, n_bytes: int) -> None:
        """Count bytes that have arrived.

        Parameters
        ----------
        n_bytes : int
            How many.
        """
        self._bar.update(self._task, advance=n_bytes)

    def reset(self) -> None:
        """Start counting again from 0."""
        self._bar.reset(self._task, total=self.total or None)

    def close(self) -> None:
        """Stop drawing; calling it again does nothing."""
        self._bar.stop()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def fetch(folder: str, remote: RemoteFile, *, names: tuple[str, ...], download: bool) -> Path:
    """Find a file of a data set, or download it.

    Parameters
    ----------
    folder : str
        Sub-folder of the data set.
    remote : RemoteFile
        Where it is published.
    names : tuple of str
        Names under which the file may be there already, in order of preference.
    download : bool
        Whether it may be downloaded to the user's cache.

    Returns
    -------
    pathlib.Path
        The file. One that was found is taken as it is; one that was downloaded has the published
        checksum.

    Raises
    ------
    FileNotFoundError
        If it is nowhere and may not be downloaded, or ``HASHLEARN_DATA`` names no folder.
    ConnectionError
        If the download fails.
    PermissionError
        If it cannot be written.
    ValueError
        If the download has another checksum; nothing is kept of it.
    """
    if found := find_file(folder, *names):
        return found
    if not download:
        remedy = f"allow download=True, or get {remote.url} and put it in one of them"
        raise not_found(folder, " or ".join(names), remedy)
    return download_file(remote, cache_folder() / folder)


def download_file(remote: RemoteFile, folder: Path) -> Path:
    """Download a file into a folder, and check it before it gets its name.

    Parameters
    ----------
    remote : RemoteFile
        What to download.
    folder : pathlib.Path
        Where to put it; made if it does not exist.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ConnectionError
        If the download fails.
    PermissionError
        If it cannot be written.
    ValueError
        If it has another checksum than the published one; nothing is kept of it.
    """
    import pooch
    from requests import RequestException

    with DownloadProgress(remote.name) as progress:
        downloader = pooch.HTTPDownloader(
            progressbar=progress,
            chunk_size=_CHUNK_BYTES,
            # a server that declares the .gz an encoding would have it unpacked on the way
            headers={"Accept-Encoding": "identity"},
        )
        try:
            path = pooch.retrieve(
                remote.url, remote.checksum, fname=remote.name, path=folder, downloader=downloader
            )
        except RequestException as error:
            raise ConnectionError(
                f"could not download {remote.url}: {error}; get it in another way and put it in "
                f"{folder}, or in that sub-folder of the folder that {VARIABLE} names"
            ) from error
    return Path(path)
