import hashlib
import io

import pytest
from rich.console import Console

from hashlearn.data.download import DownloadProgress, RemoteFile, download_file, fetch

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def remote(tmp_path, serve):
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "file.gz").write_bytes(CONTENT)
    address = serve(folder)
    return RemoteFile(f"{address}file.gz", f"md5:{hashlib.md5(CONTENT).hexdigest()}")


def test_a_download_is_the_published_file(remote, tmp_path):
    path = download_file(remote, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "file.gz"
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_a_wrong_checksum_leaves_nothing(remote, tmp_path):
    wrong = RemoteFile(remote.url, "md5:" + "0" * 32)
    with pytest.raises(ValueError, match="does not match the known hash"):
        download_file(wrong, tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_failed_download_leaves_nothing_and_says_what_to_do(remote, tmp_path):
    absent = RemoteFile(remote.url.replace("file", "absent"), remote.checksum)
    with pytest.raises(ConnectionError, match=r"could not download .*absent.gz.*HASHLEARN_DATA"):
        download_file(absent, tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_file_that_is_here_is_not_downloaded(remote, cache):
    (cache / "set").mkdir(parents=True)
    (cache / "set" / "file").write_bytes(b"here")
    nowhere = RemoteFile("http://127.0.0.1:1/file.gz", remote.checksum)
    path = fetch("set", nowhere, names=("file.gz", "file"), download=True)
    assert path.read_bytes() == b"here"


def test_a_file_that_may_not_be_downloaded_is_missing(remote, cache):
    with pytest.raises(FileNotFoundError, match=r"HASHLEARN_DATA is not set.*download=True"):
        fetch("set", remote, names=("file.gz",), download=False)
    assert not cache.exists()


@pytest.mark.usefixtures("cache")
def test_a_variable_that_names_no_folder_is_an_error(remote, monkeypatch):
    monkeypatch.setenv("HASHLEARN_DATA", "/no/such/folder")
    with pytest.raises(FileNotFoundError, match="names no folder: /no/such/folder"):
        fetch("set", remote, names=("file.gz",), download=True)


def test_progress_counts_as_pooch_reports():
    with DownloadProgress("file.gz") as progress:
        assert progress.total == 0
        progress.total = 100
        progress.update(64)
        progress.update(64)
        assert progress.done == 128
        progress.reset()
        assert (progress.done, progress.total) == (0, 100)
        progress.update(100)
        progress.close()
    assert progress.done == 100


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_silent_where_there_is_no_terminal(is_terminal):
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=80)
    with DownloadProgress("file.gz", console) as progress:
        progress.total = 10
        progress.update(10)
    assert ("file.gz" in output.getvalue()) == is_terminal
