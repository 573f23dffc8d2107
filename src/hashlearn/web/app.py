"""The application."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI

from hashlearn import __version__
from hashlearn.collection import Collection
from hashlearn.web.access import Access, Guarded
from hashlearn.web.api import PATH, router
from hashlearn.web.errors import add_error_handlers
from hashlearn.web.limits import Limited, Limits
from hashlearn.web.metrics import Measured
from hashlearn.web.pages import add_pages
from hashlearn.web.service import Service


def create_app(
    collections: Mapping[str, Collection],
    *,
    api_key: str | None = None,
    read_only: bool = False,
    limits: Limits | None = None,
) -> FastAPI:
    """Make an application over collections.

    Parameters
    ----------
    collections : mapping of str to Collection
        Collections, open, by the names that they have in paths. They are closed when the server
        that runs the application stops.
    api_key : str, default=None
        What clients must know. None lets everyone in.
    read_only : bool, default=False
        Whether nothing may be written.
    limits : Limits, default=None
        What a request may ask for at most. None takes ``Limits()``.

    Returns
    -------
    FastAPI
        The application.

    Raises
    ------
    ValueError
        If the key is empty.
    """
    limits = limits or Limits()
    service = Service(collections, read_only=read_only, limits=limits)
    access = Access(api_key)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="hashlearn",
        summary="Search collections by example.",
        version=__version__,
        openapi_url=f"{PATH}/openapi.json",
        docs_url=None,  # FastAPI's pages load scripts from another network
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.collections = collections
    app.state.service = service
    app.state.access = access
    add_error_handlers(app)
    app.include_router(router)
    add_pages(app)
    # the last one added is the outermost
    app.add_middleware(Limited, limits=limits)
    app.add_middleware(Guarded, access=access)
    app.add_middleware(Measured, metrics=service.metrics)
    return app
