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
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from motags.artifacts import sha256
from motags.errors import MotagsError
from motags.films.reading import MAX_SET_ASIDE, ReadingRules
from motags.machine import cores
from motags.web.app import make_app
from motags.web.database import Database
from motags.web.decisions import reviewer_name
from motags.web.loading import take
from motags.web.scoring import Scorer
from motags.web.store import ReviewStore

try:
    import fcntl
except ImportError:  # Windows: there nothing keeps two models or catalogues from one file
    fcntl = None  # type: ignore[assignment]

PORT = 8737
HTTP = 80  # the port that browsers leave out
SHOWN = 12  # digits of a digest that are enough to tell two apart
TOKEN = "MOTAGS_REVIEW_TOKEN"  # noqa: S105, the name of the variable
LEAST_TOKEN = 16  # letters
WAITING = 2048  # connections that may wait to be taken
PATIENCE = 5  # seconds for answers under way when it is stopped
ANY = {"0.0.0.0", "::"}  # noqa: S104, compared with, not listened on

Say = Callable[[str], None]

log = logging.getLogger(__name__)


def serve(
    catalogue: Path,
    model: Path,
    decisions: Path,
    host: str = "127.0.0.1",
    port: int = PORT,
    reviewer: str | None = None,
    *,
    say: Say,
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
        say: is told the address to open, with the token.
        max_set_aside, rules: of the catalogue, see `loading.take`.

    Raises:
        MotagsError: a file can't be used or is in use with another model or catalogue, the port is taken, or the token
            is too short.
    """
    from motags.active_learning.explain import explain  # noqa: PLC0415, the numerical libraries
    from motags.tagger.tagger import Tagger  # noqa: PLC0415

    token, name = _token(host), _reviewer(host, reviewer)
    if not catalogue.is_file():
        raise MotagsError(f"{catalogue} is missing, or no file: name a catalogue")
    with _listening(host, port) as listener:
        tagger = Tagger.load(model, "float32", threads=max(1, cores() - 1))  # one core is the page's
        store = ReviewStore(Database(decisions))
        with _only_with(decisions, {"model": tagger.version_, "catalogue": sha256(catalogue)}):
            take(store, catalogue, tagger, max_set_aside, rules)
            answer(listener, host, token, name, Scorer(tagger, explain, store), say)


def answer(
    listener: socket.socket, host: str, token: str | None, reviewer: str | None, scorer: Scorer, say: Say
) -> None:
    """Answer at an open address, making suggestions meanwhile, until Ctrl-C or SIGTERM."""
    port = listener.getsockname()[1]
    app = make_app(scorer.store, scorer, reviewer, port, _hosts(host, port), token)
    say(f"Open {_address(host, port, token)} (Ctrl-C stops)")
    scorer.start()
    try:
        _run(app, listener)
    finally:
        scorer.stop()


@contextmanager
def _only_with(decisions: Path, own: dict[str, str]) -> Iterator[None]:
    """Share the file with pages of the same model and catalogue only: others would overwrite films and suggestions."""
    if fcntl is None:
        yield
        return
    path = decisions.with_name(decisions.name + ".lock")
    try:
        lock = path.open("a+")
    except OSError as error:
        raise MotagsError(f"{path} can't be written: {error.strerror}") from error
    with lock:
        with suppress(BlockingIOError):  # the first page says which model it is
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.truncate(0)
            lock.write(json.dumps(own))
            lock.flush()
        fcntl.flock(lock, fcntl.LOCK_SH)
        lock.seek(0)
        for what, other in json.loads(lock.read()).items():
            if other != own[what]:
                raise MotagsError(
                    f"{decisions} is open on a page with the {what} {other[:SHOWN]}, this one is {own[what][:SHOWN]}: "
                    "stop that page first, or name another file with --decisions"
                )
        yield


def _run(app: FastAPI, listener: socket.socket) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server hands the signal on when it has stopped
    config = uvicorn.Config(
        app, access_log=False, log_config=None, server_header=False, proxy_headers=False, backlog=WAITING,
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
        listener = socket.create_server((host, port), family=family, backlog=WAITING)
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
    given = os.environ.get(TOKEN, "")
    if given and (len(given) < LEAST_TOKEN or not (given.isascii() and given.isalnum())):
        raise MotagsError(f"{TOKEN} needs at least {LEAST_TOKEN} letters and digits, and nothing else")
    return given or (None if _is_loopback(host) else secrets.token_hex(16))


def _reviewer(host: str, given: str | None) -> str | None:
    if given is not None:
        return reviewer_name(given)
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
    return frozenset(f"{name}:{port}" for name in names) | (names if port == HTTP else set())


def _address(host: str, port: int, token: str | None) -> str:
    name = _literal(socket.gethostname() if host in ANY else host)
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
