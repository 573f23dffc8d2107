"""Who may come in: those who know the key, if there is one."""

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from starlette.datastructures import URL, Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hashlearn.web.errors import problem

COOKIE = "hashlearn"
"""Name of the cookie that the login form sets."""

LOGIN = "/login"
"""Path of the login form."""

OPEN = ("/api/v1/health", LOGIN)
"""Paths that want no key."""

STATIC = "/static/"
"""Where the paths begin of what pages are made of, also the login form: they want no key."""


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address.

    Parameters
    ----------
    host : str
        Name or number of it.

    Returns
    -------
    bool
        Whether it does.
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Access:
    """Tell who may come in.

    Parameters
    ----------
    api_key : str or None
        The key. None lets everyone in.

    Raises
    ------
    ValueError
        If the key is empty.
    """

    def __init__(self, api_key: str | None) -> None:
        if api_key is not None and not api_key.strip():
            raise ValueError("an API key must not be empty")
        self._key = None if api_key is None else api_key.encode()

    @property
    def is_open(self) -> bool:
        """Whether there is no key."""
        return self._key is None

    @property
    def cookie(self) -> str:
        """Value of the cookie of those who know the key, which does not tell the key."""
        return hmac.new(self._key or b"", b"hashlearn cookie", hashlib.sha256).hexdigest()

    def is_key(self, text: str) -> bool:
        """Tell whether a text is the key.

        Parameters
        ----------
        text : str
            What someone sent.

        Returns
        -------
        bool
            Whether it is, or there is none.
        """
        given = text.encode(errors="surrogateescape")
        return self._key is None or hmac.compare_digest(given, self._key)

    def allows(self, headers: Headers) -> bool:
        """Tell whether a request may come in.

        Parameters
        ----------
        headers : Headers
            Its heads.

        Returns
        -------
        bool
            Whether it has the key, or the cookie of who has it.
        """
        kind, _, key = headers.get("authorization", "").partition(" ")
        if self.is_open or (kind.lower() == "bearer" and self.is_key(key.strip())):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        given = b"" if cookie is None else cookie.value.encode()
        return hmac.compare_digest(given, self.cookie.encode())


class Guarded:
    """Let nobody in without the key: an ASGI middleware.

    Programs are refused; people are sent to the login form.

    Parameters
    ----------
    app : ASGI application
        What answers.
    access : Access
        Who may come in.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

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
        wants_key = scope["type"] == "http" and not _is_open(scope["path"])
        if wants_key and not self.access.allows(Headers(scope=scope)):
            await _refusal(scope)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class Local:
    """Answer requests that name this machine only: an ASGI middleware.

    A page of another site can let its own name lead to this machine. Browsers then take what is
    served here for a part of that site, and would let its scripts read all of it.

    Parameters
    ----------
    app : ASGI application
        What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

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
        if scope["type"] != "http" or is_loopback(_host_in(Headers(scope=scope))):
            await self.app(scope, receive, send)
        else:
            told = "without a key, only requests to localhost are answered"
            await problem(403, told)(scope, receive, send)


def _host_in(headers: Headers) -> str:
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(STATIC)


def _refusal(scope: Scope) -> Response:
    if scope["method"] == "GET" and not scope["path"].startswith("/api/"):
        asked = URL(scope=scope)
        after = quote(f"{asked.path}?{asked.query}".removesuffix("?"), safe="")
        return RedirectResponse(f"{LOGIN}?next={after}", 303)
    wanted = {"WWW-Authenticate": "Bearer"}
    return problem(401, "the key is missing or wrong: Authorization: Bearer KEY", wanted)
