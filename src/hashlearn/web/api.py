"""The routes of ``/api/v1``. Keys may hold slashes, so they are never in a path."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hashlearn import __version__
from hashlearn.web import answers, metrics, serving
from hashlearn.web.schemas import ItemChange, NewItems, Search
from hashlearn.web.service import Service
from hashlearn.web.strict import StrictRoute, parse

PATH = "/api/v1"
"""Where the routes begin."""

_ERRORS: dict[int, str] = {
    400: "The body is not valid JSON.",
    401: "The key is missing or wrong.",
    403: "Nothing may be written.",
    404: "There is no such collection or item.",
    409: "A key is there with another item.",
    413: "The request is too large.",
    415: "The body is not JSON.",
    422: "A value is not allowed.",
    503: "Another process writes; try again.",
    504: "The request took too long.",
}

router = APIRouter(
    prefix=PATH,
    route_class=StrictRoute,
    generate_unique_id_function=lambda route: route.name,
)

Key = Annotated[str, Query(description="Key of the item.", examples=["cats/1"])]


def _answering(model: Any, *errors: int, status: int = 200) -> dict[str, Any]:
    """Document what a route answers. It is not checked on its way out, which takes long."""
    told = {code: {"model": answers.Problem, "description": _ERRORS[code]} for code in errors}
    return {"response_model": None, "responses": {status: {"model": model}, **told}}


def _json(value: Any, status: int = 200) -> Response:
    return Response(to_json(value), status, media_type="application/json")


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


@router.get("/health", **_answering(answers.Health))
async def _health() -> Response:
    """Tell that the server is there. This needs no key."""
    return _json({"status": "ok", "version": __version__})


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        401: {"model": answers.Problem, "description": _ERRORS[401]},
    },
)
async def _metrics(request: Request) -> Response:
    """Give figures for Prometheus."""
    service = _service(request)
    page = await service.read(service.metrics.page)
    return Response(page, headers={"Content-Type": metrics.MEDIA_TYPE})


@router.get("/collections", **_answering(answers.Collections, 401, 504))
async def _collections(request: Request) -> Response:
    """List the collections."""
    service = _service(request)
    return _json({"collections": await service.read(serving.all_told, service)})


@router.get("/collections/{name}", **_answering(answers.CollectionDetails, 401, 404, 422, 504))
async def _collection(name: str, request: Request) -> Response:
    """Describe a collection and the fields of its items."""
    service = _service(request)
    return _json(await service.read(serving.told_in_full, service, name))


@router.get("/collections/{name}/items", **_answering(answers.Items, 401, 404, 422, 504))
async def _items(
    name: str,
    request: Request,
    n: Annotated[int, Query(ge=1, description="How many at most.")] = 100,
    after: Annotated[str | None, Query(description="Key after which to begin.")] = None,
    where: Annotated[str | None, Query(description="Conditions, in JSON.")] = None,
) -> Response:
    """List items in the order in which they were added."""
    service = _service(request)
    collection, most = service.named(name), service.limits.max_k
    if n > most:
        raise HTTPException(422, f"n is at most {most:,}, got {str(n)[:40]}")
    conditions = _conditions(where)
    return _json(await service.read(serving.listed, collection, n, after, conditions))


@router.get("/collections/{name}/item", **_answering(answers.Item, 401, 404, 422, 504))
async def _item(name: str, key: Key, request: Request) -> Response:
    """Read an item."""
    service = _service(request)
    (item,) = await service.read(service.named(name).get, [key])
    return _json(serving.as_json(item))


@router.get(
    "/collections/{name}/content",
    response_class=Response,
    responses=_answering(None, 401, 404, 422, 504)["responses"]
    | {
        304: {"description": "It is what the header If-None-Match names."},
        200: {
            "description": "The image file, the text, or the numbers of a vector.",
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("image/png", "image/jpeg", "text/plain", "application/octet-stream")
            },
        },
    },
)
async def _content(
    name: str,
    key: Key,
    request: Request,
    small: Annotated[bool, Query(description="Of a large image, a small picture.")] = False,
) -> Response:
    """Read what is kept of an item itself; a small picture of an image that stands in a file."""
    service = _service(request)
    content = await service.read(serving.content, service.named(name), key, small)
    tag = f'"{hashlib.sha256(content.data).hexdigest()[:32]}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",  # kept, and asked for anew: it may have changed
        # what someone uploaded is shown, and never run
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content.data, media_type=content.type, headers=headers)


@router.post(
    "/collections/{name}/items",
    status_code=201,
    **_answering(answers.Added, 400, 401, 403, 404, 409, 413, 415, 422, 503, 504, status=201),
)
async def _add(name: str, wanted: NewItems, request: Request) -> Response:
    """Add items: all, or after an error none. Items that are there already are left as they are."""
    service = _service(request)
    collection = service.named(name)
    added = await service.write(collection, serving.add, service, name, wanted.items)
    return _json(added, 201)


@router.patch(
    "/collections/{name}/item",
    **_answering(answers.Item, 400, 401, 403, 404, 413, 415, 422, 503, 504),
)
async def _change(name: str, key: Key, wanted: ItemChange, request: Request) -> Response:
    """Change an item."""
    service = _service(request)
    collection = service.named(name)
    changed = await service.write(collection, serving.change, service, name, key, wanted)
    return _json(changed)


@router.delete(
    "/collections/{name}/item",
    status_code=204,
    responses={
        code: {"model": answers.Problem, "description": _ERRORS[code]}
        for code in (401, 403, 404, 422, 503, 504)
    },
)
async def _remove(name: str, key: Key, request: Request) -> Response:
    """Remove an item."""
    service = _service(request)
    await service.write(service.named(name), type(service.named(name)).remove, [key])
    return Response(status_code=204)


@router.post(
    "/collections/{name}/search",
    **_answering(answers.Found, 400, 401, 404, 413, 415, 422, 503, 504),
)
async def _search(name: str, asked: Search, request: Request) -> Response:
    """Find the items whose codes are nearest to that of an item, new or known, or to a code."""
    service = _service(request)
    run = service.read if asked.is_light else service.encode
    return _json(await run(serving.search, service, name, asked))


def _conditions(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        where = parse(text)
    except ValueError as error:
        raise HTTPException(422, f"where is not valid JSON: {str(error)[:200]}") from error
    if not isinstance(where, dict) or len(where) > serving.MOST_CONDITIONS:
        raise HTTPException(
            422, f"where must be an object of at most {serving.MOST_CONDITIONS} conditions"
        )
    return where
