"""Errors as answers: one sentence each, and never what only the log should know."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from hashlearn.collection import KeysTakenError

_SHOWN = 3
_LONGEST = 500


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Make the answer to a request that cannot be fulfilled.

    Parameters
    ----------
    status : int
        Status of HTTP.
    detail : str
        What was wrong, in one sentence.
    headers : dict of str to str, default=None
        Heads of the answer.

    Returns
    -------
    JSONResponse
        The answer.
    """
    return JSONResponse({"detail": detail}, status, headers)


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what a collection raises about its input into answers.

    Yields
    ------
    None
        While this lasts.

    Raises
    ------
    HTTPException
        With 404 where an item is missing, 409 where a key is taken, 422 where a value is wrong, 403
        where nothing may be written, and 503 while another process writes.
    """
    try:
        yield
    except KeyError as error:
        raise HTTPException(404, str(error.args[0])[:_LONGEST]) from error
    except KeysTakenError as error:
        raise HTTPException(409, _sentence(error)) from error
    except (TypeError, ValueError) as error:
        if isinstance(error.__cause__, sqlite3.Error):  # a damaged file is no fault of who asks
            raise
        raise HTTPException(422, _sentence(error)) from error
    except PermissionError as error:
        raise HTTPException(403, "the collection is open for reading only") from error
    except TimeoutError as error:
        busy = "another process is writing to the collection; try again later"
        raise HTTPException(503, busy, {"Retry-After": "10"}) from error


def add_error_handlers(app: FastAPI) -> None:
    """Let an application answer every error in the same form.

    Parameters
    ----------
    app : FastAPI
        Application.
    """
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)


async def _refused(_: Request, error: Any) -> JSONResponse:
    return problem(error.status_code, str(error.detail), error.headers)


async def _invalid(_: Request, error: Any) -> JSONResponse:
    found = error.errors()
    told = [_told(one) for one in found[:_SHOWN]]
    if len(found) > _SHOWN:
        told.append(f"and {len(found) - _SHOWN} more")
    return problem(422, "; ".join(told))


def _told(error: dict[str, Any]) -> str:
    missing = "the body" if error["type"] == "missing" else ""
    place = ".".join(str(part) for part in error["loc"][1:])[:80] or missing
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {text}" if place else text


async def _failed(_: Request, __: Exception) -> JSONResponse:
    # the server's log has the rest
    return problem(500, "something went wrong on the server; its log says what")


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST]
