"""Who may ask what: the host's name, the origin and the token of a request, before any other code sees it."""

import hmac
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
WELCOME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>motags review</title>
<meta http-equiv="refresh" content="0;url=/"></head>
<body><main><h1>motags review</h1><p><a href="/">Go on</a></p></main></body></html>"""


class Guard:
    """Middleware that refuses, and adds the headers of safety to every answer.

    Args:
        hosts: the names in `Host` that are answered, with the port; None for any (a token is needed then).
        token: what a browser must bring, or None. It comes as `?token=` once, then as a cookie.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, token: str | None, cookie: str) -> None:
        self.app, self.hosts, self.token, self.cookie = app, hosts, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer = self._refused(scope, headers) or self._entered(scope) or self._without_token(headers)
        await (answer or self.app)(scope, receive, _secured(send))

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if self.hosts is not None and host.lower() not in self.hosts:
            return PlainTextResponse("this address is not answered here", 421)
        origins = {f"http://{host}", f"https://{host}"}  # the second behind a proxy
        if scope["method"] not in {"GET", "HEAD"} and headers.get("origin") not in origins:
            reason = "only this page itself may send that; a proxy before it has to pass on the header Host"
            return JSONResponse({"error": reason}, 403)
        return None

    def _entered(self, scope: Scope) -> HTMLResponse | None:
        """The answer to the first visit. After a redirect from a link elsewhere the cookie would not be sent."""
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not self._is_token(token):
            return None
        answer = HTMLResponse(WELCOME)
        answer.set_cookie(self.cookie, token, max_age=30 * 86_400, httponly=True, samesite="strict")
        return answer

    def _without_token(self, headers: Headers) -> PlainTextResponse | None:
        if self.token is None or self._is_token(cookie_parser(headers.get("cookie", "")).get(self.cookie, "")):
            return None
        return PlainTextResponse("Open the address with the token that `motags review` printed when it started.", 401)

    def _is_token(self, token: str) -> bool:
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())


def _secured(send: Send) -> Send:
    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return secured
