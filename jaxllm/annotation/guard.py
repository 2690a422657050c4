"""What stands before the app: every answer's headers, which hosts it is called by, who may write.

A page of another origin must neither read nor change anything: it is told nothing without a cookie
that is sent to this site alone; a name that some other page's owner points at this machine (DNS
rebinding) is no host of ours; and a request that writes has to come from our own page.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_HEADERS = {
    # Nothing but the page's own files, and no text can become markup or a script.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_READING = ("GET", "HEAD")


def guards(hosts: Sequence[str], *, secret: str, cookie: str) -> list[Middleware]:
    """The guards from the outside in; `hosts` are the names by which the app may be called."""
    return [
        Middleware(_AddHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        Middleware(_WriteFromOwnPage),
        Middleware(SessionMiddleware, secret_key=secret, session_cookie=cookie, same_site="strict"),
    ]


class _AddHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


class _WriteFromOwnPage:
    """Refuses writes whose Origin is not the host they go to; browsers send it with every write."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _READING:
            headers = Headers(scope=scope)
            if urlsplit(headers.get("origin", "")).netloc.lower() != headers["host"].lower():
                refusal = JSONResponse({"error": "not from this page"}, status_code=403)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
