"""A reverse proxy on loopback that misbehaves on request: what a client must survive, sent over a real socket."""

import http.client
import json
import os
import random
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
JSON = "application/json; charset=utf-8"
MB = b"0" * 1_000_000


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    time: float
    """By `time.monotonic()`."""
    method: str
    path: str
    """With the query."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""


Fault = Callable[[BaseHTTPRequestHandler], None]
"""Writes an answer, or none, in place of the upstream's."""


def no_fault(request: Request) -> Fault | None:  # noqa: ARG001
    """Pass every request on."""
    return None


class Front:
    """Passes requests to `upstream` (without one: answers 404), but for those that `fault` names a fault for."""

    def __init__(self, upstream: str | None, fault: Callable[[Request], Fault | None] = no_fault) -> None:
        self.upstream = urlsplit(upstream).netloc if upstream else None
        self.fault = fault
        self.seen: list[Request] = []
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, front: Front) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.front = front
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()

    def hang_up(self) -> None:
        """End every connection, also those that idle or hang."""
        self.closing.set()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client, or a fault, was quicker

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hung up: they are meant to."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: Nagle would hold the second for 40 ms

    def _respond(self) -> None:
        front = cast(_Server, self.server).front
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = self._request()
        front.seen.append(request)
        fault = front.fault(request)
        if fault:
            fault(self)
        elif front.upstream:
            _pass_on(self, front.upstream, body)
        else:
            status(404)(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _respond  # noqa: N815

    def _request(self) -> Request:
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(time.monotonic(), self.command, self.path, query, headers)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the requests are in `Front.seen`."""


def _pass_on(handler: BaseHTTPRequestHandler, upstream: str, body: bytes) -> None:
    connection = http.client.HTTPConnection(upstream, timeout=300)
    try:
        answer = _ask(connection, handler, body)
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return status(502, str(error).encode())(handler)
    finally:
        connection.close()
    kept = [(name, value) for name, value in answer.getheaders() if _end_to_end(name)]
    length = answer.getheader("Content-Length") if handler.command == "HEAD" else str(len(content))
    _head(handler, answer.status, [*kept, ("Content-Length", length or "0")])
    return _write(handler, content)


def _ask(
    connection: http.client.HTTPConnection, handler: BaseHTTPRequestHandler, body: bytes
) -> http.client.HTTPResponse:
    connection.putrequest(handler.command, handler.path, skip_accept_encoding=True)
    for name, value in handler.headers.items():
        if _end_to_end(name) and name.lower() != "host":
            connection.putheader(name, value)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    return connection.getresponse()


def _end_to_end(name: str) -> bool:
    return name.lower() not in HOP_BY_HOP | {"content-length"}


def _head(handler: BaseHTTPRequestHandler, code: int, headers: Iterable[tuple[str, str]]) -> None:
    handler.send_response_only(code)
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()


def _write(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    if handler.command != "HEAD":
        handler.wfile.write(body)


def _stream(handler: BaseHTTPRequestHandler, pieces: Iterable[bytes], *headers: tuple[str, str]) -> None:
    _head(handler, 200, [("Content-Type", JSON), ("Transfer-Encoding", "chunked"), *headers])
    for piece in filter(None, pieces):
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n")


def status(code: int, body: bytes = b"", **headers: object) -> Fault:
    """This status; `retry_after=2` becomes the header Retry-After."""
    named = {name.replace("_", "-").title(): str(value) for name, value in headers.items()}
    sized = {} if code in (204, 304) else {"Content-Type": "text/plain", "Content-Length": str(len(body))}

    def fault(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, code, (sized | named).items())
        _write(handler, body)

    return fault


def answer(json_object: object, **headers: object) -> Fault:
    """A 200 with this as JSON."""
    return status(200, json.dumps(json_object).encode(), content_type=JSON, **headers)


def html() -> Fault:
    """A 200 with a page for people, as captive portals give."""
    return status(200, b"<!doctype html><title>Sorry</title><p>Back soon.</p>", content_type="text/html")


def cut(body: bytes = b'{"a": [1, 2') -> Fault:
    """JSON that ends early, though Content-Length is right."""
    return status(200, body, content_type=JSON)


def short(body: bytes = b'{"a": [1, 2]}', missing: int = 100) -> Fault:
    """A body with fewer bytes than its Content-Length promises; then the connection closes."""

    def fault(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        status(200, body, content_type=JSON, content_length=len(body) + missing)(handler)

    return fault


def bad_utf8() -> Fault:
    """JSON but for bytes that are no UTF-8."""
    return status(200, b'{"a": "\xff\xfe\xc3("}', content_type=JSON)


def deep(levels: int = 100_000) -> Fault:
    """JSON lists, one in the other."""
    return status(200, b"[" * levels + b"]" * levels, content_type=JSON)


def big(mb: int = 100) -> Fault:
    """Valid JSON of this size, in chunks, without a Content-Length."""
    return lambda handler: _stream(handler, _zeros(mb))


def bomb(mb: int = 1000) -> Fault:
    """A small gzip body that unpacks to valid JSON of this size."""
    return lambda handler: _stream(handler, _gzipped(_zeros(mb)), ("Content-Encoding", "gzip"))


def _zeros(mb: int) -> Iterator[bytes]:
    yield b'{"a": "'
    for _ in range(mb):
        yield MB
    yield b'"}'


def _gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


def reset() -> Fault:
    """A TCP RST in place of an answer."""

    def fault(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(handler.connection.detach())  # `close` would wait for the files made of it, and send a FIN before

    return fault


def hang(seconds: float) -> Fault:
    """No answer for so long, then a closed connection."""

    def fault(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        cast(_Server, handler.server).closing.wait(seconds)

    return fault


def drip(body: bytes = b'{"a": [1, 2, 3]}', every: float = 1.0) -> Fault:
    """A whole answer, but a byte at a time, this many seconds apart."""

    def fault(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, [("Content-Type", JSON), ("Content-Length", str(len(body)))])
        for byte in body:
            if cast(_Server, handler.server).closing.wait(every):
                return
            _write(handler, bytes([byte]))

    return fault


def redirect(to: str, code: int = 302) -> Fault:
    """Go elsewhere."""
    return status(code, location=to)


def lag(seconds: int = 7, retry_after: int = 1) -> Fault:
    """MediaWiki's answer to `maxlag` when its replicas lag: an error in a 200."""
    headers = {"retry_after": retry_after, "x_database_lag": seconds, "mediawiki_api_error": "maxlag"}
    info, data = f"Waiting for a database server: {seconds} seconds lagged.", {"host": "", "lag": seconds, "type": "db"}
    docref = "See the address of this API for API usage."

    def fault(handler: BaseHTTPRequestHandler) -> None:
        note = "docref" if "formatversion=2" in handler.path else "*"
        body: dict[str, object] = {"error": {"code": "maxlag", "info": info, **data, note: docref}}
        if "errorformat=" in handler.path:
            body = {"errors": [{"code": "maxlag", "text": info, "data": data, "module": "main"}], note: docref}
        answer(body, **headers)(handler)

    return fault


def sometimes(
    share: float, fault_makers: Sequence[Callable[[], Fault]], seed: int
) -> Callable[[Request], Fault | None]:
    """One of the faults for this share of the requests; the same ones each time, by their order."""
    chance = random.Random(seed)  # noqa: S311
    one_by_one = threading.Lock()

    def fault(request: Request) -> Fault | None:  # noqa: ARG001
        with one_by_one:
            draw, make = chance.random(), chance.choice(fault_makers)
        return make() if draw < share else None

    return fault
