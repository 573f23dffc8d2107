"""Collections over HTTP."""

import os
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from hashlearn.cli.options import AsJson
from hashlearn.cli.show import report

_VARIABLE = "HASHLEARN_API_KEY"


def serve(
    collections: Annotated[
        list[str], typer.Argument(help="Folders of `hashlearn collection create`.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    read_only: Annotated[bool, typer.Option("--read-only", help="Let nobody write.")] = False,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File whose first line is the key that clients must know. Default: the "
            f"environment variable {_VARIABLE}, if it is set."
        ),
    ] = None,
    no_key: Annotated[
        bool,
        typer.Option("--no-key", help="Without a key, answer everyone and not this machine only."),
    ] = False,
    browse: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve collections: a page for people and an API for programs.

    The API is described at /api/v1/openapi.json. SIGTERM or Ctrl-C ends the server once the
    requests that are running are answered.

    Example: `hashlearn serve photos.collection --open`

    Example: `hashlearn serve a.collection b.collection --host 0.0.0.0 --api-key-file key.txt`
    """  # numpydoc ignore=PR01
    try:
        from hashlearn.web import access, server
    except ImportError as error:
        raise ImportError(
            f"{error.name or 'something'} is missing: pip install 'hashlearn[serve]'"
        ) from error

    key = _read_key(api_key_file)
    if key is None and not no_key and not access.is_loopback(host):
        raise ValueError(
            f"everyone who reaches {host} could read and write: give --api-key-file, or say "
            "--no-key if that is meant"
        )
    served = server.Served(tuple(collections), read_only, key, for_all=no_key)
    app = served.open()  # in several processes too, so that what is wrong is told once
    with server.listen(host, port) as listening:
        address = server.address_of(listening)
        names = list(server.names_of(collections))
        report(
            {"address": address, "collections": names, "workers": workers},
            f"{', '.join(names)} at {address} (Ctrl-C ends)",
            as_json=as_json,
        )
        if browse:
            webbrowser.open(address)
        if workers == 1:
            server.serve(app, listening)
        else:
            app.state.service.close()
            del app  # each worker has the codes in its own memory
            server.serve_in_workers(served, listening, workers)


def _read_key(path: Path | None) -> str | None:
    """Read the key from the file or the environment."""
    if path is None:
        return os.environ.get(_VARIABLE)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    key = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    if not key:
        raise ValueError(f"the first line of {path} is empty; it must be the key")
    return key
