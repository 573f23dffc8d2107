"""Folders to look for data in, and files made by hand."""

import gzip
import http.server
import struct
import threading

import numpy as np
import pytest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Give an empty user's cache, and no HASHLEARN_DATA."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("pooch.os_cache", lambda project: folder / project)
    monkeypatch.delenv("HASHLEARN_DATA", raising=False)
    return folder / "hashlearn"


@pytest.fixture
def data_folder(tmp_path, cache, monkeypatch):  # noqa: ARG001 - must come after it
    """Give an empty folder that HASHLEARN_DATA names."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("HASHLEARN_DATA", str(folder))
    return folder


@pytest.fixture
def idx_bytes():
    """Write an array of bytes in the IDX format."""

    def write(array, *, magic=None):
        array = np.asarray(array, np.uint8)
        start = magic or bytes([0, 0, 8, array.ndim])
        return start + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()

    return write


@pytest.fixture
def write_idx_source(idx_bytes):
    """Write the four files of a small data set of images, 3 to train and 2 to test."""

    def write(folder, *, packed=True):
        folder.mkdir(parents=True, exist_ok=True)
        images = np.arange(5 * 28 * 28).reshape(5, 28, 28) % 251
        labels = np.array([5, 0, 4, 1, 9])
        contents = {
            "train-images-idx3-ubyte": images[:3],
            "train-labels-idx1-ubyte": labels[:3],
            "t10k-images-idx3-ubyte": images[3:],
            "t10k-labels-idx1-ubyte": labels[3:],
        }
        for stem, array in contents.items():
            data = idx_bytes(array)
            if packed:
                (folder / f"{stem}.gz").write_bytes(gzip.compress(data, mtime=0))
            else:
                (folder / stem).write_bytes(data)
        return images, labels

    return write


@pytest.fixture
def serve():
    """Serve a folder on the loopback address; the answer is the address of the folder."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    def start(folder):
        def handler(*args):
            return Quiet(*args, directory=str(folder))

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        # the interval is how long the end of a test waits
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()
