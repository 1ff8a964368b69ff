"""Start the page: the catalogue, the tagger and the decisions behind a server on this machine."""

import getpass
import ipaddress
import json
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from motags.artifacts import sha256
from motags.errors import MotagsError
from motags.films.reading import MAX_SET_ASIDE, ReadingRules
from motags.machine import cores, lock
from motags.web.app import make_app
from motags.web.database import Database
from motags.web.decisions import reviewer_name
from motags.web.loading import take
from motags.web.posters import Posters
from motags.web.scoring import Scorer
from motags.web.store import ReviewStore

PORT = 8737
HTTP_PORT = 80  # the port that browsers leave out
DIGEST_DIGITS = 12  # digits of a digest that are enough to tell two apart
TOKEN_VARIABLE = "MOTAGS_REVIEW_TOKEN"  # noqa: S105, the name of the variable
MIN_TOKEN = 16  # letters
BACKLOG = 2048  # connections that may wait to be taken
PATIENCE = 5  # seconds for answers under way when it is stopped
WILDCARDS = {"0.0.0.0", "::"}  # noqa: S104, compared with, not listened on

Announce = Callable[[str], None]

log = logging.getLogger(__name__)


def serve(
    catalogue: Path,
    model: Path,
    decisions: Path,
    host: str = "127.0.0.1",
    port: int = PORT,
    reviewer: str | None = None,
    *,
    announce: Announce,
    max_set_aside: float = MAX_SET_ASIDE,
    rules: ReadingRules | None = None,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        catalogue: the films, as JSON, CSV or parquet, plain or gzipped; only read.
        model: the folder of a tagger.
        decisions: the SQLite file of the review; made if it is missing.
        host: an address other than loopback needs a token, from MOTAGS_REVIEW_TOKEN or made and said once.
        port: 0 takes a free one.
        reviewer: the name under which decisions are kept until the page is told another. Where it is None, that is
            the user's on loopback, and elsewhere the page asks.
        announce: is called with the address to open and its token.
        max_set_aside, rules: of the catalogue, see `loading.take`.

    Raises:
        MotagsError: a file can't be used or is in use with another model or catalogue, the port is taken, or the token
            is too short.
    """
    from motags.tagger.tagger import Tagger  # noqa: PLC0415

    token, name = _token(host), _reviewer(host, reviewer)
    if not catalogue.is_file():
        raise MotagsError(f"{catalogue} is missing, or not a file: name a catalogue")
    with _listening(host, port) as listener:
        tagger = Tagger.load(model, "float32", threads=max(1, cores() - 1))  # one core is the page's
        store = ReviewStore(Database(decisions))
        with _only_with(decisions, {"model": tagger.version_, "catalogue": sha256(catalogue)}):
            take(store, catalogue, tagger, max_set_aside, rules)
            posters = Posters(catalogue.parent)
            answer(listener, host, token, name, Scorer(tagger, store), posters, announce)


def answer(
    listener: socket.socket, host: str, token: str | None, reviewer: str | None, scorer: Scorer, posters: Posters,
    announce: Announce,
) -> None:  # fmt: skip
    """Answer at an open address, making suggestions meanwhile, until Ctrl-C or SIGTERM."""
    port = listener.getsockname()[1]
    app = make_app(scorer, posters, reviewer, port, _hosts(host, port), token)
    announce(f"Open {_address(host, port, token)} (Ctrl-C stops)")
    scorer.start()
    try:
        _run(app, listener)
    finally:
        scorer.stop()


@contextmanager
def _only_with(decisions: Path, versions: dict[str, str]) -> Iterator[None]:
    """Share the file with pages of the same model and catalogue only: others would overwrite films and suggestions."""
    path = decisions.with_name(decisions.name + ".lock")
    try:
        file = path.open("a+")
    except OSError as error:
        raise MotagsError(f"{path} can't be written: {error.strerror}") from error
    with file:
        if lock(file):  # the first page writes which model and catalogue it has
            file.truncate(0)
            file.write(json.dumps(versions))
            file.flush()
        lock(file, shared=True)
        file.seek(0)
        for name, digest in json.loads(file.read()).items():
            if digest != versions[name]:
                raise MotagsError(
                    f"{decisions} is open on a page with the {name} {digest[:DIGEST_DIGITS]}, "
                    f"this one is {versions[name][:DIGEST_DIGITS]}: "
                    "stop that page first, or name another file with --decisions"
                )
        yield


def _run(app: FastAPI, listener: socket.socket) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server hands the signal on when it has stopped
    config = uvicorn.Config(
        app, access_log=False, log_config=None, server_header=False, proxy_headers=False, backlog=BACKLOG,
        lifespan="off", timeout_graceful_shutdown=PATIENCE,
    )  # fmt: skip
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        log.info("stopped; every decision is kept")


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms for an ACK
    except (OSError, OverflowError) as error:
        raise MotagsError(
            f"{host}, port {port}, can't be listened on ({error}): name others with --host and --port"
        ) from None
    with listener:
        yield listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(host: str) -> str | None:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and (len(token) < MIN_TOKEN or not (token.isascii() and token.isalnum())):
        raise MotagsError(f"{TOKEN_VARIABLE} needs at least {MIN_TOKEN} letters and digits, and nothing else")
    return token or (None if _is_loopback(host) else secrets.token_hex(16))


def _reviewer(host: str, name: str | None) -> str | None:
    if name is not None:
        return reviewer_name(name)
    return _user() if _is_loopback(host) else None


def _user() -> str | None:
    try:
        return reviewer_name(getpass.getuser())
    except (MotagsError, OSError, KeyError, ImportError):
        return None


def _hosts(host: str, port: int) -> frozenset[str] | None:
    """What `Host` may say: on loopback its names only, against pages whose own name was pointed here."""
    if not _is_loopback(host):
        return None
    names = {"127.0.0.1", "localhost", "[::1]", _literal(host)}
    return frozenset(f"{name}:{port}" for name in names) | (names if port == HTTP_PORT else set())


def _address(host: str, port: int, token: str | None) -> str:
    name = _literal(socket.gethostname() if host in WILDCARDS else host)
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
