"""JSON as the standard has it, and none that is made to cost more than its bytes."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

_MOST_FIELDS = 64
_MOST_PARTS = 200_000  # arrays and objects: each takes many times its bytes in memory

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def parse(text: bytes | str) -> Any:
    """Read JSON.

    Parameters
    ----------
    text : bytes or str
        The text. NaN, infinity, lone surrogates, and what is nested deeply are refused.

    Returns
    -------
    object
        Its value.

    Raises
    ------
    ValueError
        If it is not JSON.
    """
    return from_json(text, allow_inf_nan=False)


class StrictRoute(APIRoute):
    """Take bodies that say that they are JSON, and are.

    Parameters
    ----------
    path : str
        Path, as for FastAPI.
    endpoint : callable
        What answers. Its name, without what marks it as private, names the route.
    **options : object
        Options of FastAPI.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        options["name"] = endpoint.__name__.lstrip("_")
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Handler:
        """Wrap the handler of FastAPI.

        Returns
        -------
        callable
            Answers a request.
        """
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        async def handle(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise HTTPException(415, f"the body must be application/json, got {kind[:80]!r}")
            return await handler(_StrictRequest(request.scope, request.receive))

        return handle


class _StrictRequest(Request):
    async def json(self) -> Any:
        """Read the body, and refuse what would cost much before it is refused."""
        body = await self.body()
        if body.count(b"{") + body.count(b"[") > _MOST_PARTS:
            raise HTTPException(413, f"JSON has at most {_MOST_PARTS:,} arrays and objects")
        try:
            value = parse(body)
        except ValueError as error:
            raise HTTPException(400, f"the body is not valid JSON: {str(error)[:200]}") from error
        if not isinstance(value, dict):
            raise HTTPException(422, "the body must be an object of JSON")
        items = value.get("items")
        objects = [value, *(items if isinstance(items, list) else [])]
        most = self.app.state.service.limits.max_batch
        if len(objects) - 1 > most:
            raise HTTPException(413, f"a request has at most {most:,} items")
        for one in objects:  # each unknown field would be an error of its own
            if isinstance(one, dict) and len(one) > _MOST_FIELDS:
                raise HTTPException(422, f"an object has at most {_MOST_FIELDS} fields here")
        return value
