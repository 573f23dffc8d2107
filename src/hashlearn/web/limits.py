"""What a request may ask for at most, and the middleware that holds it to that."""

from asyncio import timeout
from contextlib import suppress
from dataclasses import dataclass, fields

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hashlearn.web.errors import problem

_SKIP_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """Say what a request may ask for at most.

    Parameters
    ----------
    max_body_bytes : int, default=16777216
        Length of a body.
    max_batch : int, default=1000
        Items that are added by one request.
    max_pixels : int, default=50000000
        Pixels of all images of a request together.
    max_k : int, default=1000
        Items that a search for the nearest, or a list, gives.
    max_results : int, default=10000
        Items that a search within a radius gives.
    max_seconds : float, default=30.0
        Time for a request, from its first byte to its answer.

    Raises
    ------
    ValueError
        If one is not positive.
    """

    max_body_bytes: int = 16 << 20
    max_batch: int = 1000
    max_pixels: int = 50_000_000
    max_k: int = 1000
    max_results: int = 10_000
    max_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not (value := getattr(self, field.name)) > 0:
                raise ValueError(f"{field.name} must be positive, got {value!r}")


class Limited:
    """Hold requests to the limits of length and time: an ASGI middleware.

    A body is read before the application sees the request, so that one that is too long, or comes
    too slowly, costs no more than its bytes.

    Parameters
    ----------
    app : ASGI application
        What answers.
    limits : Limits
        Limits.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits

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
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            async with timeout(self.limits.max_seconds) as clock:
                body = await self._body(scope, receive)
                if body is None:
                    most = f"a body has at most {self.limits.max_body_bytes:,} bytes"
                    await problem(413, most)(scope, receive, sending)
                else:
                    await self.app(scope, _again(body, receive), sending)
        except TimeoutError:
            if has_begun or not clock.expired():
                raise
            detail = (
                f"the request took more than {self.limits.max_seconds:g} s; "
                "if it was to change something, that may still happen"
            )
            await problem(504, detail)(scope, receive, send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """Read the body; None if it is too long, however long its head says that it is."""
        most, n_bytes = self.limits.max_body_bytes, 0
        parts: list[bytes] = []
        has_more = _declared(scope) <= most
        while has_more and n_bytes <= most:
            message = await receive()
            parts.append(message.get("body", b""))
            n_bytes += len(parts[-1])
            has_more = message.get("more_body", False)
        if n_bytes <= most and _declared(scope) <= most:
            return b"".join(parts)
        parts.clear()
        await _skip(receive, most)
        return None


async def _skip(receive: Receive, most: int) -> None:
    """Read on for a moment: who is refused while still sending may never hear it."""
    n_bytes, has_more = 0, True
    with suppress(TimeoutError):
        async with timeout(_SKIP_SECONDS):
            while has_more and n_bytes <= most:
                message = await receive()
                n_bytes += len(message.get("body", b""))
                has_more = message.get("more_body", False)


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read to who asks for it."""
    is_given = False

    async def receiving() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving
