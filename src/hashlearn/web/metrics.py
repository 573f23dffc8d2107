"""Figures of an application for Prometheus."""

from collections.abc import Mapping
from functools import partial
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hashlearn.collection import Collection

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Media type of the page."""

_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Count what an application does, apart from every other in the process.

    Parameters
    ----------
    collections : mapping of str to Collection
        What it serves.

    Attributes
    ----------
    running : prometheus_client.Gauge
        Requests that are not answered yet.
    """

    def __init__(self, collections: Mapping[str, Collection]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "hashlearn_requests", "Requests.", ["method", "route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self.running = Gauge(
            "hashlearn_running_requests", "Requests that are not answered yet.",
            registry=self._registry,
        )  # fmt: skip
        self._request_seconds = self._histogram("request", "Seconds of requests.", "route")
        self._index_seconds = self._histogram(
            "index", "Seconds in the index of searches.", "collection"
        )
        self._encoding_seconds = self._histogram(
            "encoding",
            "Seconds of encoding items: of searches all but the index, of additions all.",
            "collection",
        )
        items = Gauge("hashlearn_items", "Items.", ["collection"], registry=self._registry)
        for name, collection in collections.items():
            items.labels(name).set_function(partial(len, collection))

    def _histogram(self, name: str, text: str, label: str) -> Histogram:
        return Histogram(
            f"hashlearn_{name}_seconds", text, [label], buckets=_SECONDS, registry=self._registry
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Parameters
        ----------
        method : str
            Its method.
        route : str
            Template of its path.
        status : int
            Status of the answer.
        seconds : float
            What it took.
        """
        known = method if method in _METHODS else "other"  # anyone can invent methods
        self._requests.labels(known, route, status).inc()
        self._request_seconds.labels(route).observe(seconds)

    def searched(self, collection: str, seconds: float) -> None:
        """Count a search.

        Parameters
        ----------
        collection : str
            Name of the collection.
        seconds : float
            What the index took.
        """
        self._index_seconds.labels(collection).observe(seconds)

    def encoded(self, collection: str, seconds: float) -> None:
        """Count work on items that are encoded.

        Parameters
        ----------
        collection : str
            Name of the collection.
        seconds : float
            What it took.
        """
        self._encoding_seconds.labels(collection).observe(seconds)

    def page(self) -> bytes:
        """Write all figures.

        Returns
        -------
        bytes
            What Prometheus reads.
        """
        return generate_latest(self._registry)


class Measured:
    """Count requests: an ASGI middleware.

    Parameters
    ----------
    app : ASGI application
        What answers.
    metrics : Metrics
        Where they are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Parameters
        ----------
        scope : dict
            What is known of the request.
        receive : callable
            Gives its body.
        send : callable
            Takes the answer.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self.metrics.running.track_inprogress():
                await self.app(scope, receive, sending)
        finally:
            # by template: paths hold names that anyone can invent
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.count(scope["method"], route, status, perf_counter() - start)
