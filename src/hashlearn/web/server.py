"""The server: one process or several, over the same collections."""

import ctypes
import json
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from hashlearn.collection import Collection
from hashlearn.web.access import Local
from hashlearn.web.app import create_app

ENDING = ".collection"
"""What the names of collections leave out of those of their folders."""

_VARIABLE = "HASHLEARN_SERVE"  # tells worker processes what to serve
_WORKER = "hashlearn.web.server:app_of_worker"
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of malloc.h
_WAITING = 2048  # connections that nobody has taken yet
_LAST_SECONDS = 60  # for running requests, once the server is to stop


@dataclass(frozen=True)
class Served:
    """Say what is served, and to whom.

    Parameters
    ----------
    paths : tuple of str
        Folders of collections.
    read_only : bool, default=False
        Whether nothing may be written.
    api_key : str or None, default=None
        What clients must know.
    for_all : bool, default=False
        Whether, without a key, not only requests that name this machine are answered.
    """

    paths: tuple[str, ...]
    read_only: bool = False
    api_key: str | None = None
    for_all: bool = False

    def open(self) -> FastAPI:
        """Open the collections.

        Returns
        -------
        FastAPI
            Application over them.

        Raises
        ------
        FileNotFoundError
            If there is no such collection.
        ValueError
            If two have one name, or one is damaged.
        """
        names = names_of(self.paths)
        with ExitStack() as stack:
            collections = {
                name: stack.enter_context(Collection.open(path, read_only=self.read_only))
                for name, path in names.items()
            }
            app = create_app(collections, api_key=self.api_key, read_only=self.read_only)
            if self.api_key is None and not self.for_all:
                app.add_middleware(Local)
            stack.pop_all()  # the application closes them
        return app


def names_of(paths: Sequence[str]) -> dict[str, Path]:
    """Name collections by their folders.

    Parameters
    ----------
    paths : sequence of str
        Folders.

    Returns
    -------
    dict of str to pathlib.Path
        Folders by names.

    Raises
    ------
    ValueError
        If there are none, or two have one name.
    """
    if not paths:
        raise ValueError("give at least one collection")
    named: dict[str, Path] = {}
    for path in map(Path, paths):
        name = path.resolve().name.removesuffix(ENDING)
        if name in named:
            raise ValueError(f"{named[name]} and {path} would both be named {name!r}")
        named[name] = path
    return named


def listen(host: str, port: int) -> socket.socket:
    """Take an address.

    Parameters
    ----------
    host : str
        Name or number of it.
    port : int
        Port; 0 takes a free one.

    Returns
    -------
    socket.socket
        Where clients are heard from now on.

    Raises
    ------
    OSError
        If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small parts at once only where it sees that the protocol is TCP; otherwise each
    # answer waits 40 ms
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_WAITING)
    except OSError as error:
        listening.close()
        raise OSError(f"cannot listen on port {port} of {host}: {error.strerror}") from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Write the address of a socket for a browser.

    Parameters
    ----------
    listening : socket.socket
        Socket.

    Returns
    -------
    str
        As ``"http://127.0.0.1:8000"``.
    """
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Answer requests in this process until a signal ends it.

    Parameters
    ----------
    app : FastAPI
        Application.
    listening : socket.socket
        Where clients are heard.
    """
    _give_memory_back()
    uvicorn.Server(_config(app)).run(sockets=[listening])


def serve_in_workers(served: Served, listening: socket.socket, n_workers: int) -> None:
    """Answer requests in several processes until a signal ends them.

    Parameters
    ----------
    served : Served
        What each of them opens.
    listening : socket.socket
        Where clients are heard.
    n_workers : int
        How many processes.
    """
    os.environ[_VARIABLE] = json.dumps(asdict(served))
    config = _config(_WORKER, factory=True, workers=n_workers)
    Multiprocess(config, [listening]).run()


def app_of_worker() -> FastAPI:
    """Open what the parent process says.

    Returns
    -------
    FastAPI
        Application.
    """
    _give_memory_back()
    told = json.loads(os.environ[_VARIABLE])
    return Served(**told | {"paths": tuple(told["paths"])}).open()


def _give_memory_back() -> None:
    """Let the system have the memory of large bodies again.

    By itself, glibc learns from large blocks that are freed to keep such blocks, in an arena for
    each thread; these end in pieces, and the process grows. Elsewhere there is nothing to say.
    """
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, 1 << 17)


def _config(app: FastAPI | str, **options: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # metrics count requests, for a part of the time
        server_header=False,
        timeout_graceful_shutdown=_LAST_SECONDS,
        **options,  # type: ignore[arg-type]
    )
