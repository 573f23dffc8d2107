"""The page of the server: HTML from templates, and the files that it is made of."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, FastAPI, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from hashlearn.web import serving
from hashlearn.web.access import COOKIE, LOGIN
from hashlearn.web.map import router as map_router

_FOLDER = Path(__file__).parent
_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Nothing comes from another host. A picture that a person gives is shown from memory."""

HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Headers of every page."""

_DAYS = 30  # that a browser remembers who signed in

router = APIRouter(include_in_schema=False)


class _Static(StaticFiles):
    """Files that browsers ask for anew each time, so that they never mix two releases."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def add_pages(app: FastAPI) -> None:
    """Add the page, the files that it is made of, and the maps to an application.

    Parameters
    ----------
    app : FastAPI
        Application over collections.
    """
    app.state.templates = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    app.state.planes = {}
    app.include_router(map_router)
    app.include_router(router)
    app.mount("/static", _Static(directory=_FOLDER / "static"), name="static")


@router.get("/")
async def _collections(request: Request) -> Response:
    told = await _all_told(request)
    if len(told) == 1:
        return RedirectResponse(told[0]["address"], headers=HEADERS)
    return _page(request, "home.html.j2", collections=told)


@router.get("/c/{name}")
async def _collection(request: Request, name: str) -> Response:
    told = await _all_told(request)
    named = {one["name"]: one for one in told}
    other = request.query_params.get("with")
    for wanted in (name, other):
        if wanted is not None and wanted not in named:
            return _page(request, "missing.html.j2", 404, name=wanted, collections=told)
    this = named[name]
    alike = [one for one in told if one["kind"] == this["kind"] and one is not this]
    if other is not None and named[other] not in alike:
        return _page(request, "unlike.html.j2", 400, this=this, other=named[other])
    shown = [this] if other is None else [this, named[other]]
    return _page(
        request, "collection.html.j2", this=this, shown=shown, alike=alike, collections=told
    )


@router.get(LOGIN)
async def _ask_key(request: Request) -> Response:
    wanted = request.query_params.get("next", "/")
    return _page(request, "login.html.j2", wrong=False, next=wanted)


@router.post(LOGIN)
async def _take_key(request: Request) -> Response:
    """Give who knows the key a cookie, and send them on to where they wanted to go."""
    sent = parse_qs((await request.body()).decode(errors="replace"))
    key, wanted = (sent.get(name, [""])[0] for name in ("key", "next"))
    access = request.app.state.access
    if not access.is_key(key):
        return _page(request, "login.html.j2", 401, wrong=True, next=wanted)
    # never to another host, which could look like this one
    is_own = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    response = RedirectResponse(wanted if is_own else "/", 303, HEADERS)
    response.set_cookie(
        COOKIE, access.cookie, max_age=_DAYS * 86_400, httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return response


async def _all_told(request: Request) -> list[dict[str, Any]]:
    """Describe all collections, with the addresses of their pages."""
    service = request.app.state.service
    told: list[dict[str, Any]] = await service.read(serving.all_told, service)
    for one in told:
        one["address"] = f"/c/{quote(one['name'], safe='')}"
    return told


def _page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    html = request.app.state.templates.get_template(template).render(**values)
    return HTMLResponse(html, status, HEADERS)
