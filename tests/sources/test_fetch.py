"""One polite session with one site: what it sends, how often, how long it waits, and what it refuses."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from motags.errors import MotagsError
from motags.sources.fetch import MAX_IN_A_ROW, Failed, FetchParams, Gone, Site, retry_after
from servers import front as faults
from servers.front import Fault, Front, answer, status

FAST = 1_000_000.0
CONTACT = "who@example.org"
TOKEN = "t0ken"  # noqa: S105, made up


@pytest.fixture
def front() -> Iterator[Front]:
    with Front(None, lambda _: answer({"a": 1})) as front:
        yield front


def site(rate: float = FAST, token: str = "", **policy: Any) -> Site:
    usual = {"tries": 3, "backoff": 0.0, "max_wait": 60.0, "timeout": 5.0, "max_body_mb": 1.0}
    return Site("Here", rate, FetchParams(**usual | policy), CONTACT, token, "HERE_TOKEN")


def answers(front: Front, *made: Fault) -> None:
    """Give these answers in turn, the last one for ever."""
    left = list(made)
    front.fault = lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_a_request_says_who_asks_and_takes_gzip(front: Front) -> None:
    assert site().get_json(front.url, {"q": "ä&b", "n": 1}) == {"a": 1}
    (seen,) = front.seen
    assert seen.query == {"q": "ä&b", "n": "1"}
    assert seen.headers["user-agent"].startswith(f"motags/{version('motags')} ({CONTACT})")
    assert seen.headers["accept-encoding"] == "gzip"
    assert "authorization" not in seen.headers


def test_a_token_goes_into_the_header_and_nowhere_else(front: Front) -> None:
    site(token=TOKEN).get_json(front.url, {"q": 1})
    (seen,) = front.seen
    assert seen.headers.pop("authorization") == "Bearer t0ken"
    assert "t0ken" not in repr(seen)


def test_a_token_that_comes_back_is_cut_out(front: Front) -> None:
    answers(front, answer({"was": "Bearer t0ken", "t0ken": ["t0ken"]}))
    assert site(token=TOKEN).get_json(front.url, {}) == {"was": "Bearer [token]", "[token]": ["[token]"]}


@pytest.mark.parametrize("token", ["", "t0ken"])
def test_a_netrc_is_not_read(front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    requests.get(front.url, timeout=5)
    site(token=token).get_json(front.url, {})
    plain, ours = (request.headers.get("authorization", "") for request in front.seen)
    assert plain.startswith("Basic ")
    assert ours == ("Bearer t0ken" if token else "")


def test_all_requests_go_over_one_connection(front: Front) -> None:
    ports = set()

    def noted(handler: BaseHTTPRequestHandler) -> None:
        ports.add(handler.client_address[1])
        (status(404) if len(front.seen) % 3 == 0 else answer({}))(handler)

    answers(front, noted)
    one = site()
    for _ in range(12):
        try:
            one.get_json(front.url, {})
        except Gone:
            continue
    assert len(front.seen) == 12
    assert len(ports) == 1


def test_requests_and_bytes_on_the_wire_are_counted(front: Front) -> None:
    packed = gzip.compress(json.dumps({"a": "b" * 5000}).encode())
    answers(front, status(500, b"x" * 70), status(200, packed, content_encoding="gzip"))
    one = site(rate=50)
    assert len(one.get_json(front.url, {})["a"]) == 5000
    assert one.requests_made == len(front.seen) == 2
    assert one.bytes_received == 70 + len(packed)
    assert one.least_seconds == pytest.approx(2 / 50)


@pytest.mark.parametrize("made", [answer({}), status(500)], ids=["answers", "tries"])
def test_requests_keep_their_distance_tries_included(front: Front, made: Fault) -> None:
    answers(front, made)
    one = site(rate=20, tries=4)
    for _ in range(2):
        try:
            one.get_json(front.url, {})
            one.get_json(front.url, {})
        except Failed:
            continue
    times = [request.time for request in front.seen]
    assert len(times) >= 4
    assert min(later - earlier for earlier, later in pairwise(times)) > 1 / 20 - 0.01


def test_an_idle_time_is_not_made_up_for(front: Front) -> None:
    one = site(rate=20)
    one.get_json(front.url, {})
    time.sleep(0.3)
    for _ in range(3):
        one.get_json(front.url, {})
    _, *later = (request.time for request in front.seen)
    assert min(after - before for before, after in pairwise(later)) > 1 / 20 - 0.01


def pauses(front: Front, **policy: Any) -> list[float]:
    front.seen.clear()
    with pytest.raises(Failed):
        site(**policy).get_json(front.url, {})
    return [later.time - earlier.time for earlier, later in pairwise(front.seen)]


def test_what_the_last_try_is_told_to_wait_holds_for_the_next_request(front: Front) -> None:
    answers(front, status(503, retry_after="1"), answer({"a": 1}))
    one = site(tries=1)
    with pytest.raises(Failed):
        one.get_json(front.url, {})
    one.get_json(front.url, {})
    first, second = (request.time for request in front.seen)
    assert second - first > 0.9


def test_pauses_double_less_a_random_part_up_to_the_longest_wait(front: Front) -> None:
    answers(front, status(503))
    for pause, least in zip(pauses(front, tries=5, backoff=0.1, max_wait=0.25), (0.05, 0.1, 0.125, 0.125), strict=True):
        assert least - 0.01 < pause < 2 * least + 0.08


def test_pauses_differ_by_chance_so_that_clients_do_not_come_back_all_at_once(front: Front) -> None:
    answers(front, status(503))
    several = [pauses(front, tries=2, backoff=0.1)[0] for _ in range(6)]
    assert max(several) - min(several) > 0.005


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 522])
def test_a_passing_error_is_tried_again(front: Front, code: int) -> None:
    answers(front, status(code), status(code), answer({"b": 2}))
    assert site().get_json(front.url, {}) == {"b": 2}
    assert len(front.seen) == 3


@pytest.mark.parametrize("code", [400, 402, 405, 406, 411, 414, 422, 451, 204, 206])
def test_an_error_that_would_come_again_is_not_tried_again(front: Front, code: int) -> None:
    answers(front, status(code, b'{"status_message": "no"}'))
    with pytest.raises(Failed, match=f"Here answers {code}: no"):
        site().get_json(front.url, {})
    assert len(front.seen) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no reason given"),
        (b"<p>", "no reason given"),
        (b"[1]", "no reason given"),
        (b'{"status_message": {"deep": 1}}', "{'deep': 1}"),
        (b'{"status_message": "%s"}' % (b"x" * 999), "x" * 200 + "$"),
        (b"\xff", "no reason given"),
        (b"[" * 99_999, "no reason given"),
    ],
)
def test_a_refusal_gives_the_reason_where_there_is_one(front: Front, body: bytes, reason: str) -> None:
    answers(front, status(400, body))
    with pytest.raises(Failed, match=reason):
        site().get_json(front.url, {})


@pytest.mark.parametrize("code", [404, 410])
def test_what_is_gone_is_told_apart(front: Front, code: int) -> None:
    answers(front, status(code))
    with pytest.raises(Gone, match=f"Here answers {code}, not there"):
        site().get_json(front.url, {})
    assert len(front.seen) == 1


@pytest.mark.parametrize(("token", "how"), [("t", "set HERE_TOKEN to a valid token"), ("", "401")])
def test_a_401_is_no_failure_of_one_request(front: Front, token: str, how: str) -> None:
    answers(front, status(401))
    with pytest.raises(MotagsError, match=how) as caught:
        site(token=token).get_json(front.url, {})
    assert not isinstance(caught.value, Failed)
    assert len(front.seen) == 1


def after(value: str | None) -> float | None:
    response = requests.Response()
    response.headers.update({} if value is None else {"Retry-After": value})
    return retry_after(response)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("", None), ("2", 2), (" 2 ", 2), ("0", 0), ("86400", 86_400), ("-1", None), ("1.5", None),
     ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)  # fmt: skip
def test_retry_after_is_read(value: str | None, seconds: float | None) -> None:
    assert after(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 57 < (after(date) or 0) <= 60


@given(st.text() | st.from_regex(r"\A\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ (GMT|[+-]\d+)\Z"))
@example("9" * 5000)
@example("Mon, 01 Jan 99999999 00:00:00 GMT")
@example("Mon, 99 Jan 2030 00:00:00 GMT")
@example("Mon, 01 Jan 2030 00:00:00 +99999999999999999999")
def test_no_retry_after_breaks_the_crawl(value: str) -> None:
    seconds = after(value)
    assert seconds is None or seconds >= 0


def test_a_wait_longer_than_allowed_is_refused_at_once(front: Front) -> None:
    answers(front, status(503, retry_after=61))
    with pytest.raises(MotagsError, match=r"asks to wait 61 s, longer than crawl\.fetch\.max_wait = 60"):
        site().get_json(front.url, {})
    assert len(front.seen) == 1


@pytest.mark.parametrize(
    "made",
    [faults.html, faults.cut, faults.bad_utf8, faults.deep, faults.short, faults.reset, lambda: answer([1]),
     lambda: answer("x"), lambda: status(200), lambda: status(200, b'{"a": ' + b"9" * 5000 + b"}"),
     lambda: status(200, b"not gzip", content_encoding="gzip")],
    ids=["HTML", "cut", "bad UTF-8", "deep", "short", "reset", "list", "text", "empty", "long number", "no gzip"],
)  # fmt: skip
def test_an_answer_that_can_not_be_read_is_asked_for_again(front: Front, made: Callable[[], Fault]) -> None:
    answers(front, made(), answer({"b": 2}))
    one = site()
    assert one.get_json(front.url, {}) == {"b": 2}
    answers(front, made())
    with pytest.raises(Failed, match=r"^Here: .* \(3 tries\)$") as caught:
        one.get_json(front.url, {"secret": "x"})
    assert front.url not in str(caught.value)
    assert len(front.seen) == 2 + 3


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_a_body_up_to_the_limit_is_read(front: Front, spare: int, fits: bool) -> None:
    body = b'{"a": "' + b"x" * (2**20 - 9 - spare) + b'"}'
    assert len(body) == 2**20 - spare
    answers(front, status(200, body))
    if fits:
        assert len(site().get_json(front.url, {})["a"]) == 2**20 - 9
        return
    with pytest.raises(Failed, match=r"larger than crawl\.fetch\.max_body_mb = 1$"):
        site().get_json(front.url, {})
    assert len(front.seen) == 1


@pytest.mark.parametrize("made", [faults.bomb, faults.big], ids=["bomb", "big"])
def test_no_more_than_the_limit_is_read_of_an_endless_body(front: Front, made: Callable[[], Fault]) -> None:
    answers(front, made())
    one, started = site(), time.monotonic()
    with pytest.raises(Failed, match="larger than"):
        one.get_json(front.url, {})
    assert one.bytes_received < 2 * 2**20
    assert time.monotonic() - started < 2


def test_a_site_that_does_not_answer_is_given_up_after_the_time_out(front: Front) -> None:
    answers(front, faults.hang(20))
    started = time.monotonic()
    with pytest.raises(Failed, match=r"read timeout \(2 tries\)"):
        site(timeout=0.2, tries=2).get_json(front.url, {})
    assert 0.4 < time.monotonic() - started < 2


def test_a_question_may_be_given_more_time_than_others(front: Front) -> None:
    def late(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.6)
        faults.answer({"a": 1})(handler)

    answers(front, late)
    assert site(timeout=0.2, tries=1).get_json(front.url, {}, timeout=10.0) == {"a": 1}


def test_an_answer_that_drips_is_given_up(front: Front) -> None:
    """Each byte comes in time, the whole never does."""
    answers(front, faults.drip(b"{" + b" " * 1000 + b"}", every=0.02))
    started = time.monotonic()
    with pytest.raises(Failed, match="comes too slowly"):
        site(timeout=0.05, tries=1).get_json(front.url, {})
    assert 0.4 < time.monotonic() - started < 3


def test_failures_in_a_row_end_the_crawl_but_not_with_an_answer_between(front: Front) -> None:
    one = site(tries=1)
    gone = status(404)
    for made in (answer({}), gone):
        answers(front, status(400))
        for _ in range(MAX_IN_A_ROW - 1):
            with pytest.raises(Failed):
                one.get_json(front.url, {})
        answers(front, made)
        with pytest.raises(Gone) if made is gone else nullcontext():
            one.get_json(front.url, {})
    answers(front, status(400))
    for _ in range(MAX_IN_A_ROW - 1):
        with pytest.raises(Failed):
            one.get_json(front.url, {})
    with pytest.raises(
        MotagsError, match=r"Here failed 10 times in a row, the last time so: Here answers 400"
    ) as caught:
        one.get_json(front.url, {})
    assert not isinstance(caught.value, Failed)
