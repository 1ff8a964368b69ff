"""The crawl survives what FAULTS says, row by row: killed, locked out, refused, lied to, run out of room."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from builders import LIMITED
from motags.errors import MotagsError
from motags.sources.fetch import MAX_IN_A_ROW
from motags.sources.params import CrawlParams
from motags.sources.tmdb import TOKEN
from servers import front as faults
from servers import wikidata
from servers.crawling import (
    COMMAND,
    CrawlProject,
    Sites,
    article_of,
    asked,
    changed,
    crawl,
    crawl_params,
    items_of,
    many_films,
    rows,
    sites,
    stored,
    wiki_of,
    without_times,
)
from servers.front import Fault, Front, Request, answer, status
from servers.mediawiki import Page, need_mediawiki
from servers.tmdb import BEARER, Json

ALL = ["wikipedia", "wikidata", "tmdb"]
FILMS = many_films(200)
FEW = FILMS[:11]
BAD = FEW[4]
OTHERS = {f"tmdb:{film['id']}" for film in FEW if film is not BAD}
OLD_TITLES = [Page(f"Once {film['title']}", f"#REDIRECT [[{article_of(film)}]]") for film in FILMS]
MEMORY_MB = 300


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, BEARER)


@pytest.fixture(scope="session")
def wiki() -> Iterator[str]:
    """The address of a wiki with the articles of all films, each under an older name too."""
    need_mediawiki()
    with wiki_of(FILMS, *OLD_TITLES) as wiki:
        yield wiki.api.removesuffix("/w/api.php")


@pytest.fixture
def tmdb() -> Iterator[Sites]:
    """TMDB with a few films."""
    with sites(FEW) as tmdb:
        yield tmdb


@pytest.fixture
def three(wiki: str) -> Iterator[Sites]:
    """All three sites with a few films."""
    with sites(FEW, entities=items_of(FEW), wiki=wiki) as three:
        yield three


@contextmanager
def mixed(n: int, wiki: str) -> Iterator[Sites]:
    """The three sites with n films that are found in every way: by ids, by title, over redirects of both wikis."""
    films, items = [dict(film) for film in FILMS[:n]], items_of(FILMS[:n])
    for number, (film, item) in enumerate(zip(films, list(items), strict=False)):
        if number % 5 == 1:
            film["wikidata_id"] = None
        if number % 7 == 2:
            item["sitelinks"] = {}
        if number % 11 == 3:
            item["sitelinks"]["enwiki"] = {"site": "enwiki", "title": f"Once {film['title']}", "badges": []}
        if number % 13 == 4:
            film["wikidata_id"] = f"Q{300_000_000 + number}"
            items.append(wikidata.redirect(film["wikidata_id"], item["id"]))
    with sites(films, entities=items, wiki=wiki) as found:
        found.parameters["sources"] = ALL
        yield found


def params(of: Sites, **changes: Any) -> CrawlParams:
    return crawl_params(**of.parameters | changes)


def project(root: Path, of: Sites, **changes: Any) -> CrawlProject:
    made = CrawlProject(root)
    made.configure(**of.parameters | changes)
    return made


def films_of(folder: Path) -> dict[str, Json]:
    return {film["id"]: film for film in rows(folder / "films.jsonl")}


def set_aside(root: Path) -> set[str]:
    return {row["where"] for row in rows(root / "catalogue-1/set_aside.jsonl")}


def about(film: Json) -> Callable[[Request], bool]:
    """Whether a request is for this film's details, item or article."""
    keys = {("tmdb", str(film["id"])), ("wikidata", film["wikidata_id"]), ("wikipedia", article_of(film))}
    return lambda request: not keys.isdisjoint(asked(request))


def only(chosen: Callable[[Request], bool], *made: Fault, for_ever: bool = True) -> Callable[[Request], Fault | None]:
    """These faults, one after the other, for the requests so chosen; the last one for ever, or none after it."""
    left = list(made)

    def fault(request: Request) -> Fault | None:
        if not (left and chosen(request)):
            return None
        return left[0] if len(left) == 1 and for_ever else left.pop(0)

    return fault


def one_each(kinds: Iterable[str]) -> dict[str, Json]:
    """For each kind of fault a film of its own; the film after each is well."""
    return {kind: FILMS[2 * number] for number, kind in enumerate(kinds)}


def first_hurt(hurt: dict[str, Json], request: Request) -> str | None:
    """The first kind of fault whose film a request is for."""
    return next((kind for kind, film in hurt.items() if about(film)(request)), None)


def well(hurt: dict[str, Json], prefix: str = "tmdb:") -> set[str]:
    """The ids of the films that nothing happens to."""
    return {f"{prefix}{film['id']}" for film in FILMS[: 2 * len(hurt)] if film not in hurt.values()}


def names_of(hurt: dict[str, Json], site: str) -> set[str]:
    """How what was set aside is named: a film by TMDB, or what a wiki has of it."""
    own = {film["id"]: film["wikidata_id"] if site == "wikidata" else article_of(film) for film in hurt.values()}
    return {f"tmdb {key}" for key in own} | {f"{site} {name}" for name in own.values()}


@contextmanager
def three_of(n: int, wiki: str) -> Iterator[Sites]:
    """All three sites with the first n films."""
    with sites(FILMS[:n], entities=items_of(FILMS[:n]), wiki=wiki) as three:
        three.parameters |= {"sources": ALL, "max_set_aside": 1.0}
        yield three


def last_line(said: str) -> str:
    return said.strip().splitlines()[-1]


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which a stage that failed says why, after those of its log."""
    assert done.returncode not in (0, -signal.SIGKILL), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    own = [line for line in done.stderr.splitlines() if not re.match(r"\d\d:\d\d:\d\d ", line)]
    assert own == [last_line(done.stderr)], done.stderr
    assert own[0].startswith("motags crawl: ")
    return own[0]


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


# SIGKILL at 20 points of a crawl of 200 films, run again each time:
# the store is byte-identical (fetch times apart) to an uninterrupted crawl; nothing finished is fetched twice


class Killer:
    """Passes every request on, and kills the crawl a moment after the one at which it shall die."""

    def __init__(self, seed: int) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.requests, self.point = 0, 0
        self._chance, self._one_by_one = random.Random(seed), threading.Lock()  # noqa: S311

    def __call__(self, request: Request) -> Fault | None:  # noqa: ARG002
        with self._one_by_one:
            self.requests += 1
            if self.process and self.requests == self.point:
                threading.Timer(self._chance.uniform(0, 0.02), self.process.kill).start()
        return None


@pytest.mark.slow
def test_a_crawl_of_200_films_killed_at_20_points_ends_with_the_same_bytes(tmp_path: Path, wiki: str) -> None:
    with mixed(200, wiki) as three:
        whole = project(tmp_path / "whole", three)
        assert whole.run().returncode == 0
        requests = len(three.seen)
        again, killer = project(tmp_path / "again", three), Killer(seed=7)
        finished: set[tuple[str, str]] = set()
        three.misbehave(killer)
        for kill in range(1, 21):
            killer.point, before = kill * requests // 21, len(three.seen)
            killer.process = again.start()
            killer.process.communicate(timeout=60)
            assert killer.process.returncode == -signal.SIGKILL
            twice = finished & set().union(*map(asked, three.seen[before:]))
            assert not twice
            finished = stored(again.raw)
        killer.process, before = None, len(three.seen)
        assert again.run().returncode == 0
        assert not finished & set().union(*map(asked, three.seen[before:]))
        assert again.files() == whole.files()
        assert len(rows(again.catalogue / "films.jsonl")) == 200


@pytest.mark.slow
def test_a_store_cut_after_any_record_is_completed_with_the_same_bytes_and_nothing_is_asked_twice(
    tmp_path: Path, wiki: str
) -> None:
    """A kill can cut a batch after any of its records; a table whose records come one by one has no batches."""
    order = ("tmdb-lists", "tmdb", "wikidata-ids", "wikidata", "wikipedia")
    with mixed(16, wiki) as three:
        crawl(tmp_path / "whole", params(three))
        whole = without_times(tmp_path / "whole/raw")
        for place, table in enumerate(order):
            records = whole[f"{table}/00000.jsonl"].count("\n")
            for kept in range(1, records, 8 if table.startswith("tmdb") else 1):
                cut = tmp_path / f"{table}-{kept}"
                for name in order[: place + 1]:
                    shutil.copytree(tmp_path / "whole/raw" / name, cut / "raw" / name)
                shard = cut / "raw" / table / "00000.jsonl"
                shard.write_bytes(b"".join(shard.read_bytes().splitlines(keepends=True)[:kept]))
                finished, before = stored(cut / "raw"), len(three.seen)
                crawl(cut, params(three))
                assert without_times(cut / "raw") == whole, cut.name
                assert not finished & set().union(*map(asked, three.seen[before:])), cut.name


def test_a_page_that_another_batch_has_brought_already_is_not_asked_for_again(tmp_path: Path, wiki: str) -> None:
    """The first film's article redirects to that of the last, which is of a later batch."""
    films, items = FILMS[:60], items_of(FILMS[:60])
    items[0]["sitelinks"]["enwiki"]["title"] = f"Once {films[-1]['title']}"
    with sites(films, entities=items, wiki=wiki) as three:
        crawl(tmp_path, params(three, sources=ALL))
        titles = [row["key"] for row in rows(tmp_path / "raw/wikipedia/00000.jsonl")]
        assert [title for title, times in Counter(titles).items() if times > 1] == []


# SIGTERM, Ctrl-C: out within 5 s, store valid, one line that says how to go on


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "busy_with"),
    [
        (signal.SIGTERM, "waiting for an answer"),
        (signal.SIGTERM, "waiting as told"),
        (signal.SIGTERM, "working"),
        (signal.SIGINT, "waiting as told"),
    ],
    ids=["SIGTERM in a request", "SIGTERM in a pause", "SIGTERM at work", "Ctrl-C in a pause"],
)
def test_a_crawl_told_to_stop_is_out_within_5_s_and_goes_on_later(
    tmp_path: Path, sent: signal.Signals, busy_with: str
) -> None:
    with sites(FILMS[:60]) as tmdb:
        made = project(tmp_path, tmdb)
        stop = {
            "waiting for an answer": faults.hang(60),
            "waiting as told": status(503, retry_after=60),
            "working": None,
        }
        tmdb.misbehave(lambda _: stop[busy_with] if len(tmdb.seen) > 20 else None)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        process = made.start()
        signal.signal(signal.SIGINT, before)
        wait_for(lambda: len(tmdb.seen) > 20)
        time.sleep(0.05)
        started = time.monotonic()
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - started < 5
        said = one_line(subprocess.CompletedProcess(process.args, process.returncode, out, err))
        assert said == "motags crawl: stopped; the same command goes on or starts again"
        finished, seen = stored(made.raw), len(tmdb.seen)
        assert len(finished) > 10
        tmdb.behave()
        assert made.run().returncode == 0
        assert not finished & set().union(*map(asked, tmdb.seen[seen:]))
        assert len(rows(made.catalogue / "films.jsonl")) == 60


# two crawlers at once: the second leaves within 2 s and names the holder of the lock


@pytest.mark.slow
def test_of_two_crawlers_the_second_leaves_within_2_s_and_names_the_first(tmp_path: Path, tmdb: Sites) -> None:
    made = project(tmp_path, tmdb)
    tmdb.misbehave(lambda _: faults.hang(60))
    first = made.start()
    try:
        wait_for(lambda: tmdb.seen)
        start_up = time.monotonic()
        subprocess.run([sys.executable, "-c", "import motags.sources.gather"], env=made.environment(), check=True)
        started = time.monotonic()
        second = made.run()
        took = time.monotonic() - started - (started - start_up)
        assert f"is held by process {first.pid}, at work since" in one_line(second)
        assert took < 2
        assert len(tmdb.seen) == 1
    finally:
        first.kill()
        first.communicate()
    tmdb.behave()
    assert made.run().returncode == 0


# 429 with Retry-After of 2, of 86,400, as a date, absent:
# waits as told, up to a set cap, then fails clearly; never above the set rate


@pytest.mark.slow
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_429_with_retry_after_is_waited_for_as_told(tmp_path: Path, tmdb: Sites, form: str) -> None:
    def too_many(handler: BaseHTTPRequestHandler) -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
        status(429, retry_after=2 if form == "seconds" else date)(handler)

    tmdb.misbehave(only(about(BAD), too_many, for_ever=False))
    assert crawl(tmp_path, params(tmdb))["films"] == len(FEW)
    first, second = (request.time for request in tmdb.seen if about(BAD)(request))
    assert 1.9 < second - first < 4


@pytest.mark.parametrize("code", [429, 503])
def test_a_retry_after_of_86400_ends_the_crawl_at_once_with_a_clear_line(
    tmp_path: Path, tmdb: Sites, code: int
) -> None:
    tmdb.misbehave(only(about(BAD), status(code, retry_after=86_400)))
    with pytest.raises(MotagsError, match=r"TMDB asks to wait 86,400 s, longer than crawl\.fetch\.max_wait = 120: run"):
        crawl(tmp_path, params(tmdb))
    assert sum(map(about(BAD), tmdb.seen)) == 1
    tmdb.behave()
    assert crawl(tmp_path, params(tmdb), 2)["films"] == len(FEW)


@pytest.mark.parametrize(
    "told", [{}, {"retry_after": "soon"}, {"retry_after": -5}], ids=["absent", "a word", "negative"]
)
def test_a_429_without_a_retry_after_that_makes_sense_is_tried_again_with_growing_pauses(
    tmp_path: Path, tmdb: Sites, told: dict[str, Any]
) -> None:
    tmdb.misbehave(only(about(BAD), status(429, **told)))
    with pytest.raises(MotagsError, match="TMDB: it answers 429"):
        crawl(tmp_path, params(tmdb, fetch__tries=4, fetch__backoff=0.1))
    times = [request.time for request in tmdb.seen if about(BAD)(request)]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 4
    for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True):
        assert least - 0.01 < pause


def test_the_set_rate_is_never_passed_even_by_further_tries(tmp_path: Path, tmdb: Sites) -> None:
    rate, span = 50, 10
    tmdb.misbehave(
        faults.sometimes(0.3, [lambda: status(500), lambda: status(429, retry_after=0), faults.reset], seed=3)
    )
    crawl(tmp_path, params(tmdb, tmdb__rate=float(rate), fetch__backoff=0.0, fetch__tries=20))
    times = [request.time for request in tmdb.seen]
    assert len(times) > span + 8
    assert min(later - earlier for earlier, later in zip(times, times[span:], strict=False)) > span / rate - 0.02


# 500, 502, 503, 504, reset, time-out, at 30 %:
# finishes; tries bounded; failures listed; above a set share the stage fails

SICK: list[Callable[[], Fault]] = [
    *(lambda code=code: status(code) for code in (500, 502, 503, 504)),
    faults.reset,
    lambda: faults.hang(1),
    faults.short,
]


@pytest.mark.slow
def test_a_crawl_of_sites_that_fail_at_30_percent_finishes_with_the_same_films(tmp_path: Path, wiki: str) -> None:
    with mixed(60, wiki) as three:
        crawl(tmp_path / "well", params(three))
        well = len(three.seen)
        three.misbehave(faults.sometimes(0.3, SICK, seed=5))
        crawl(tmp_path / "sick", params(three, fetch__timeout=0.5, fetch__tries=8))
        times = Counter((request.path, request.query.get("query")) for request in three.seen[well:])
        assert 2 <= max(times.values()) <= 8
        assert len(three.seen) - well > 1.2 * well
        assert without_times(tmp_path / "sick") == without_times(tmp_path / "well")


@pytest.mark.parametrize("sick", [*SICK[:5], SICK[6]], ids=["500", "502", "503", "504", "reset", "cut short"])
def test_a_film_that_always_fails_is_listed_after_bounded_tries_and_the_rest_goes_on(
    tmp_path: Path, tmdb: Sites, sick: Callable[[], Fault]
) -> None:
    tmdb.misbehave(only(about(BAD), sick()))
    metrics = crawl(tmp_path, params(tmdb, fetch__tries=3, max_set_aside=0.1))
    (aside,) = rows(tmp_path / "catalogue-1/set_aside.jsonl")
    assert aside["where"] == f"tmdb {BAD['id']}"
    assert "(3 tries)" in aside["reason"]
    assert sum(map(about(BAD), tmdb.seen)) == 3
    assert films_of(tmp_path / "catalogue-1").keys() == OTHERS
    assert metrics["set_aside"] == 1


def test_above_the_set_share_of_failures_the_stage_fails_and_names_the_film(tmp_path: Path, tmdb: Sites) -> None:
    tmdb.misbehave(only(about(BAD), status(500)))
    with pytest.raises(MotagsError, match=rf"1 of 11 films can't be used.*tmdb {BAD['id']}: TMDB: it answers 500"):
        crawl(tmp_path, params(tmdb, max_set_aside=0.0))
    with pytest.raises(MotagsError, match=r"more than crawl\.max_set_aside = 0\.05 allows"):
        crawl(tmp_path, params(tmdb, max_set_aside=0.05), 2)
    tmdb.behave()
    assert crawl(tmp_path, params(tmdb, max_set_aside=0.0), 3)["films"] == 11


@pytest.mark.parametrize("site", ["tmdb", "wikidata", "wikipedia"])
def test_a_site_that_is_down_ends_the_crawl_after_10_failures_in_a_row(tmp_path: Path, wiki: str, site: str) -> None:
    with mixed(30, wiki) as three:
        three.misbehave(lambda request: None if "discover" in request.path else status(503), site)
        with pytest.raises(MotagsError, match=rf"(?i){site} failed 10 times in a row.*503.*run the same command later"):
            crawl(tmp_path, params(three, fetch__tries=2, max_set_aside=1.0))
        failed = [request for request in three.fronts[site].seen if "discover" not in request.path]
        assert len(failed) == 2 * MAX_IN_A_ROW
        three.behave()
        assert crawl(tmp_path, params(three), 2)["films"] == 30


def test_a_site_that_takes_no_connections_ends_the_crawl_with_a_clear_line(tmp_path: Path) -> None:
    with sites(FEW) as tmdb:
        gone = params(tmdb, fetch__tries=2)
    with pytest.raises(MotagsError, match=r"TMDB: .*connection.*2 tries"):
        crawl(tmp_path, gone)


# 401, 403, 404, 410; TMDB's 401 body without `success`:
# 401 stops at once and names the variable to set; gone films are recorded, not retried


@pytest.mark.parametrize("bare", [False, True], ids=["with success", "without success"])
def test_a_401_stops_at_once_and_names_the_variable_to_set(
    tmp_path: Path, tmdb: Sites, monkeypatch: pytest.MonkeyPatch, bare: bool
) -> None:
    monkeypatch.setenv(TOKEN, "not-the-token")
    tmdb.tmdb.bare_401 = bare
    with pytest.raises(MotagsError, match="TMDB answers 401, not authorised: set TMDB_TOKEN to a valid token"):
        crawl(tmp_path, params(tmdb))
    assert len(tmdb.seen) == 1


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("site", ["tmdb", "wikidata", "wikipedia"])
def test_a_site_that_refuses_us_in_the_middle_is_asked_no_more(
    tmp_path: Path, three: Sites, site: str, code: int
) -> None:
    three.misbehave(lambda request: None if "discover" in request.path else status(code), site)
    with pytest.raises(MotagsError, match=rf"(?i){site} answers {code}"):
        crawl(tmp_path, params(three, sources=ALL))
    assert sum("discover" not in request.path for request in three.fronts[site].seen) == 1


@pytest.mark.parametrize("code", [404, 410])
def test_a_film_that_is_gone_is_recorded_and_never_asked_for_again(tmp_path: Path, tmdb: Sites, code: int) -> None:
    tmdb.misbehave(only(about(BAD), status(code, b'{"success": false, "status_code": 34}')))
    assert crawl(tmp_path, params(tmdb, max_set_aside=0.0))["met"]["gone"] == 1
    assert sum(map(about(BAD), tmdb.seen)) == 1
    (gone,) = [row for row in rows(tmp_path / "raw/tmdb/00000.jsonl") if row["key"] == str(BAD["id"])]
    assert gone["gone"] == "TMDB has it no longer"
    requests = len(tmdb.seen)
    crawl(tmp_path, params(tmdb, max_set_aside=0.0), 2)
    assert len(tmdb.seen) == requests
    assert films_of(tmp_path / "catalogue-2").keys() == OTHERS


# 200 with HTML, cut JSON, a gzip bomb, a 100 MB body, bad UTF-8, deep nesting:
# set aside with the reason, memory under 300 MB, the rest goes on

WRONG: dict[str, tuple[Callable[[], Fault], str]] = {
    "HTML": (faults.html, "not JSON"),
    "cut JSON": (faults.cut, "not JSON"),
    "a gzip bomb": (faults.bomb, "larger than crawl.fetch.max_body_mb = 16"),
    "a 100 MB body": (faults.big, "larger than crawl.fetch.max_body_mb = 16"),
    "bad UTF-8": (faults.bad_utf8, "not JSON"),
    "deep nesting": (faults.deep, "not JSON"),
    "deep objects": (lambda: faults.cut(b'{"a":' * 900 + b"1" + b"}" * 900), "recursion"),
    "a list": (lambda: answer([1, 2]), "a JSON list where an object is expected"),
    "nothing": (lambda: status(200), "not JSON"),
    "success false": (lambda: answer({"success": False}), "TMDB"),
    "errors": (lambda: answer({"errors": ["no"]}), "TMDB: ['no']"),
    "an empty object": (lambda: answer({}), "id: Field required"),
    "a page of NUL": (lambda: answer({"page": "\0"}), "TMDB: embedded null byte"),
}


def test_a_film_whose_answer_can_not_be_used_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    hurt = one_each(WRONG)
    with sites(FILMS[: 2 * len(hurt)]) as tmdb:
        tmdb.misbehave(lambda request: WRONG[kind][0]() if (kind := first_hurt(hurt, request)) else None)
        crawl(tmp_path, params(tmdb, fetch__tries=2, max_set_aside=0.5))
    reasons = {row["where"]: row["reason"] for row in rows(tmp_path / "catalogue-1/set_aside.jsonl")}
    assert reasons.keys() == {f"tmdb {film['id']}" for film in hurt.values()}
    for kind, film in hurt.items():
        assert WRONG[kind][1] in reasons[f"tmdb {film['id']}"], kind
    assert films_of(tmp_path / "catalogue-1").keys() == well(hurt)


@pytest.mark.parametrize("site", ["wikidata", "wikipedia"])
def test_a_wiki_answer_that_can_not_be_used_costs_only_what_is_at_fault(tmp_path: Path, wiki: str, site: str) -> None:
    hurt = one_each(["HTML", "cut JSON", "a 100 MB body", "bad UTF-8", "deep nesting", "a list"])
    with three_of(2 * len(hurt), wiki) as three:
        three.misbehave(lambda request: WRONG[kind][0]() if (kind := first_hurt(hurt, request)) else None, site)
        crawl(tmp_path, params(three, fetch__tries=2))
    names = {film["wikidata_id"] if site == "wikidata" else article_of(film) for film in hurt.values()}
    assert set_aside(tmp_path) == {f"{site} {name}" for name in names}
    films = films_of(tmp_path / "catalogue-1")
    assert len(films) == 2 * len(hurt)
    assert {key for key, film in films.items() if site in film["sources"]} == well(hurt)


def test_a_page_that_could_not_be_had_is_listed_once_and_not_asked_for_again_by_its_title(
    tmp_path: Path, three: Sites
) -> None:
    three.misbehave(only(about(BAD), status(500)), "wikipedia")
    crawl(tmp_path, params(three, sources=ALL, fetch__tries=2, max_set_aside=0.2))
    assert len(rows(tmp_path / "catalogue-1/set_aside.jsonl")) == 1
    alone = [
        request for request in three.fronts["wikipedia"].seen if asked(request) == {("wikipedia", article_of(BAD))}
    ]
    assert len(alone) == 2


@pytest.mark.slow
def test_all_these_answers_together_take_less_than_300_mb_of_memory(tmp_path: Path, tmdb: Sites) -> None:
    made = project(tmp_path, tmdb, fetch__tries=2, max_set_aside=1.0)
    kinds = ["HTML", "cut JSON", "a gzip bomb", "a 100 MB body", "bad UTF-8", "deep nesting"]
    hurt = {str(film["id"]): WRONG[kind][0]() for film, kind in zip(FEW, kinds, strict=False)}
    tmdb.misbehave(lambda request: hurt.get(urlsplit(request.path).path.rsplit("/", 1)[1]))
    # by way of a shell: a process starts with the peak of the one that started it, here of the tests themselves
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, *COMMAND]
    done = subprocess.run(command, cwd=made.root, env=made.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(rows(made.catalogue / "set_aside.jsonl")) == len(kinds)
    assert json.loads((tmp_path / "logs/crawl.json").read_text())["peak_memory_mb"] < MEMORY_MB


# a field missing, null, of another type; new fields: new ones ignored; a missing needed one sets the film aside;
# more than 5 % of them fails the stage and names the field

NEEDED = {"id": "x", "title": 7, "genres": "Drama", "keywords": ["robot"]}


FATES = {f"{field} {fate}": (field, fate) for field in NEEDED for fate in ("missing", "null", "of another type")}


def test_a_film_of_tmdb_without_a_needed_field_is_set_aside_for_it(tmp_path: Path) -> None:
    hurt = one_each(FATES)
    extra: dict[int, Json] = {}
    for kind, film in hurt.items():
        field, fate = FATES[kind]
        extra[film["id"]] = {field: {"missing": ..., "null": None, "of another type": NEEDED[field]}[fate]}
    with sites(FILMS[: 2 * len(hurt)], extra=extra) as tmdb:
        metrics = crawl(tmp_path, params(tmdb, max_set_aside=0.5))
    reasons = {row["where"]: row["reason"] for row in rows(tmp_path / "catalogue-1/set_aside.jsonl")}
    assert reasons.keys() == {f"tmdb {film['id']}" for film in hurt.values()}
    for kind, film in hurt.items():
        assert reasons[f"tmdb {film['id']}"].startswith(FATES[kind][0]), kind
    assert metrics["set_aside_for"] == dict.fromkeys(NEEDED, 3)
    assert films_of(tmp_path / "catalogue-1").keys() == well(hurt)


def test_a_field_of_tmdb_that_is_not_needed_may_be_absent(tmp_path: Path) -> None:
    fields = ["overview", "tagline", "release_date", "poster_path", "imdb_id"]
    absent = [{field: value} for field in fields for value in (..., None, "")]
    films = FILMS[: len(absent)]
    with sites(films, extra={film["id"]: field for film, field in zip(films, absent, strict=True)}) as tmdb:
        metrics = crawl(tmp_path, params(tmdb, max_set_aside=0.0))
    assert metrics["films"] == len(films) == 15


def test_new_fields_are_ignored_everywhere(tmp_path: Path, wiki: str) -> None:
    new = {"brand_new": {"deep": [1, None, {"x": "y"}]}, "gone": True, "fetched": 7, "key": None, "revision": "x"}

    def enrich(body: Json) -> None:
        body |= new
        query = body.get("query", {})
        for each in [query, *query.get("pages", []), *body.get("entities", {}).values()]:
            each |= {"brand_new": new}

    with sites(FEW, entities=items_of(FEW), wiki=wiki) as three:
        crawl(tmp_path / "known", params(three, sources=ALL))
    with sites(FEW, entities=items_of(FEW), wiki=wiki, extra={film["id"]: dict(new) for film in FEW}) as three:
        three.misbehave(lambda _: changed(three.fronts["wikidata"], enrich), "wikidata")
        three.misbehave(lambda _: changed(three.fronts["wikipedia"], enrich), "wikipedia")
        crawl(tmp_path / "new", params(three, sources=ALL, max_set_aside=0.0))
    known, enriched = (films_of(tmp_path / name / "catalogue-1") for name in ("known", "new"))
    assert [film["title"] for film in known.values()] == [film["title"] for film in enriched.values()]
    assert [film["tags"] for film in known.values()] == [film["tags"] for film in enriched.values()]
    assert [film.get("plot") for film in known.values()] == [film.get("plot") for film in enriched.values()]


def test_a_new_field_of_tmdb_named_redirect_is_ignored_too(tmp_path: Path) -> None:
    """Redirects are kept in the tables of the wikis under this name."""
    with sites(FEW, extra={BAD["id"]: {"redirect": "elsewhere"}}) as tmdb:
        assert crawl(tmp_path, params(tmdb))["films"] == len(FEW)


def test_a_field_missing_in_more_than_5_percent_fails_the_stage_and_is_named(tmp_path: Path) -> None:
    films = FILMS[:40]
    hurt = {film["id"]: {"genres": None} for film in films[:3]} | {films[3]["id"]: {"title": ...}}
    with (
        sites(films, extra=hurt) as tmdb,
        pytest.raises(MotagsError, match=r"4 of 40 films can't be used.*most of them for 'genres'.*tmdb \d+: genres"),
    ):
        crawl(tmp_path, params(tmdb))
    with sites(films, extra=dict(list(hurt.items())[:2])) as tmdb:
        assert crawl(tmp_path / "less", params(tmdb))["films"] == 38


ITEM: dict[str, Callable[[Json], object]] = {
    "labels missing": lambda entity: entity.pop("labels"),
    "labels null": lambda entity: entity.update(labels=None),
    "labels a list": lambda entity: entity.update(labels=[]),
    "label a number": lambda entity: entity["labels"]["en"].update(value=7),
    "label null": lambda entity: entity["labels"]["en"].update(value=None),
    "sitelinks missing": lambda entity: entity.pop("sitelinks"),
    "sitelinks a list": lambda entity: entity.update(sitelinks=[1]),
    "title of the article a number": lambda entity: entity["sitelinks"]["enwiki"].update(title=7),
    "claims missing": lambda entity: entity.pop("claims"),
    "claims null": lambda entity: entity.update(claims=None),
    "claims a list": lambda entity: entity.update(claims=[]),
    "claims a text": lambda entity: entity.update(claims="P577"),
    "a claim null": lambda entity: entity["claims"].update(P577=None),
    "a claim an object": lambda entity: entity["claims"].update(P577={"mainsnak": 1}),
    "rank missing": lambda entity: entity["claims"]["P577"][0].pop("rank"),
    "rank a number": lambda entity: entity["claims"]["P577"][0].update(rank=1),
    "rank a list": lambda entity: entity["claims"]["P577"][0].update(rank=[]),
    "mainsnak missing": lambda entity: entity["claims"]["P577"][0].pop("mainsnak"),
    "datavalue null": lambda entity: entity["claims"]["P577"][0]["mainsnak"].update(datavalue=None),
    "datavalue missing": lambda entity: entity["claims"]["P577"][0]["mainsnak"].pop("datavalue"),
    "genre a number": lambda entity: entity["claims"]["P136"][0]["mainsnak"]["datavalue"].update(value=7),
    "genre an odd item": lambda entity: entity["claims"]["P136"][0]["mainsnak"]["datavalue"].update(
        value={"id": "x|y"}
    ),
    "time a number": lambda entity: entity["claims"]["P577"][0]["mainsnak"]["datavalue"].update(value={"time": 7}),
    "lastrevid a text": lambda entity: entity.update(lastrevid="x"),
    "lastrevid missing": lambda entity: entity.pop("lastrevid"),
    "id a number": lambda entity: entity.update(id=7),
    "entity null": lambda entity: entity.clear(),
}


def test_an_item_of_wikidata_with_a_field_missing_or_of_another_type_ends_no_crawl(tmp_path: Path, wiki: str) -> None:
    """Each film is used without its item, or is set aside; the others have theirs."""
    hurt = one_each(ITEM)

    def change(body: Json) -> None:
        for kind, film in hurt.items():
            if entity := body["entities"].get(film["wikidata_id"]):
                ITEM[kind](entity)

    with three_of(2 * len(hurt), wiki) as three:
        front = three.fronts["wikidata"]
        three.misbehave(lambda request: changed(front, change) if first_hurt(hurt, request) else None, "wikidata")
        crawl(tmp_path, params(three))
    films, aside = films_of(tmp_path / "catalogue-1"), set_aside(tmp_path)
    assert aside - {"wikidata x|y"} <= names_of(hurt, "wikidata")
    for kind, film in hurt.items():
        assert f"tmdb:{film['id']}" in films or f"tmdb {film['id']}" in aside, kind
    assert {key for key, film in films.items() if "wikidata" in film["sources"]} >= well(hurt)


@pytest.mark.parametrize("label", [..., None, 7, "", "  "], ids=["missing", "null", "a number", "empty", "blank"])
def test_a_genre_of_wikidata_without_a_label_is_left_out(tmp_path: Path, three: Sites, label: object) -> None:
    def hurt(body: Json) -> None:
        for qid, entity in body["entities"].items():
            if qid == "Q130232":
                entity["labels"] = {} if label is ... else {"en": {"language": "en", "value": label}}

    three.misbehave(
        lambda request: changed(three.fronts["wikidata"], hurt) if "sparql" not in request.path else None, "wikidata"
    )
    crawl(tmp_path, params(three, sources=ALL, max_set_aside=0.1))
    films = films_of(tmp_path / "catalogue-1")
    assert len(films) == len(FEW)
    assert not any(tag["name"] == "drama film" for film in films.values() for tag in film["tags"])


ARTICLE: dict[str, Callable[[Json], object]] = {
    "title missing": lambda page: page.pop("title"),
    "title null": lambda page: page.update(title=None),
    "title a number": lambda page: page.update(title=7),
    "revisions missing": lambda page: page.pop("revisions"),
    "revisions null": lambda page: page.update(revisions=None),
    "revisions empty": lambda page: page.update(revisions=[]),
    "revisions a text": lambda page: page.update(revisions="x"),
    "revid missing": lambda page: page["revisions"][0].pop("revid"),
    "revid a text": lambda page: page["revisions"][0].update(revid="7"),
    "timestamp missing": lambda page: page["revisions"][0].pop("timestamp"),
    "slots missing": lambda page: page["revisions"][0].pop("slots"),
    "slots null": lambda page: page["revisions"][0].update(slots=None),
    "content null": lambda page: page["revisions"][0]["slots"]["main"].update(content=None),
    "content missing": lambda page: page["revisions"][0]["slots"]["main"].pop("content"),
    "content a number": lambda page: page["revisions"][0]["slots"]["main"].update(content=7),
    "pageid a text": lambda page: page.update(pageid="7"),
    "pageid missing": lambda page: page.pop("pageid"),
    "pageprops a list": lambda page: page.update(pageprops=[1]),
    "wikibase_item a number": lambda page: page.update(pageprops={"wikibase_item": 7}),
}


def test_a_page_of_mediawiki_with_a_field_missing_or_of_another_type_ends_no_crawl(tmp_path: Path, wiki: str) -> None:
    """Each film is used without its article or is set aside, and is listed; the others have theirs."""
    hurt = one_each(ARTICLE)

    def change(body: Json) -> None:
        pages = {page["title"]: page for page in body["query"]["pages"]}
        for kind, film in hurt.items():
            if page := pages.get(article_of(film)):
                ARTICLE[kind](page)

    with three_of(2 * len(hurt), wiki) as three:
        front = three.fronts["wikipedia"]
        three.misbehave(lambda request: changed(front, change) if first_hurt(hurt, request) else None, "wikipedia")
        metrics = crawl(tmp_path, params(three))
    films, aside = films_of(tmp_path / "catalogue-1"), set_aside(tmp_path)
    with_article = {key for key, film in films.items() if "wikipedia" in film["sources"]}
    assert with_article >= well(hurt)
    assert aside <= names_of(hurt, "wikipedia")
    silent = set()
    for kind, film in hurt.items():
        key, listed = f"tmdb:{film['id']}", {f"wikipedia {article_of(film)}", f"tmdb {film['id']}"} & aside
        assert key in films or f"tmdb {film['id']}" in aside, kind
        if key not in with_article and not listed:
            silent.add(kind)
    assert len(silent) <= metrics["met"]["no_film_article"], silent


ODD_ANSWERS: dict[str, Callable[[Json], object]] = {
    "query a list": lambda body: body.update(query=[1]),
    "query null": lambda body: body.update(query=None),
    "query missing": lambda body: body.pop("query"),
    "pages null": lambda body: body["query"].update(pages=None),
    "pages an object": lambda body: body["query"].update(pages={"1": {}}),
    "a page a text": lambda body: body["query"].update(pages=["x"]),
    "redirects without from": lambda body: body["query"].update(redirects=[{"to": "x"}]),
    "redirects a text": lambda body: body["query"].update(redirects="x"),
    "continue a text": lambda body: body.update({"continue": "x"}),
    "continue a list": lambda body: body.update({"continue": [1]}),
}


def test_an_answer_of_mediawiki_in_an_unknown_shape_is_listed_and_ends_no_crawl(tmp_path: Path, wiki: str) -> None:
    hurt = one_each(ODD_ANSWERS)

    def odd(kind: str) -> Fault:
        return changed(three.fronts["wikipedia"], lambda body: (ODD_ANSWERS[kind](body), body)[1])

    with three_of(2 * len(hurt), wiki) as three:
        three.misbehave(lambda request: odd(kind) if (kind := first_hurt(hurt, request)) else None, "wikipedia")
        crawl(tmp_path, params(three))
    assert set_aside(tmp_path) == {f"wikipedia {article_of(film)}" for film in hurt.values()}
    assert len(films_of(tmp_path / "catalogue-1")) == 2 * len(hurt)


def test_an_answer_of_wikidata_in_an_unknown_shape_is_listed_and_ends_no_crawl(tmp_path: Path, wiki: str) -> None:
    shapes: dict[str, Json] = {
        "missing": {}, "null": {"entities": None}, "a list": {"entities": []}, "a text": {"entities": "x"},
    }  # fmt: skip
    hurt = one_each(shapes)

    def odd(request: Request) -> Fault | None:
        kind = first_hurt(hurt, request)
        return answer({"success": 1} | shapes[kind]) if kind else None

    with three_of(2 * len(hurt), wiki) as three:
        three.misbehave(odd, "wikidata")
        crawl(tmp_path, params(three))
    assert set_aside(tmp_path) == {f"wikidata {film['wikidata_id']}" for film in hurt.values()}
    assert len(films_of(tmp_path / "catalogue-1")) == 2 * len(hurt)


# redirect to another host, to file:, in a loop: refused


def test_a_redirect_is_refused_and_nothing_is_asked_there(tmp_path: Path) -> None:
    with Front(None) as other:
        address = {"another host": f"{other.url}/3/x", "a file": "file:///etc/passwd", "nowhere": "", "itself": None}
        kinds = {f"{code} to {to}": (code, to) for code in (301, 302, 303, 307, 308) for to in address}
        hurt = one_each(kinds)

        def fault(request: Request) -> Fault | None:
            if not (kind := first_hurt(hurt, request)):
                return None
            code, to = kinds[kind]
            return lambda handler: faults.redirect(handler.path if address[to] is None else str(address[to]), code)(
                handler
            )

        with sites(FILMS[: 2 * len(hurt)]) as tmdb:
            tmdb.misbehave(fault)
            crawl(tmp_path, params(tmdb, max_set_aside=0.5))
        reasons = {row["where"]: row["reason"] for row in rows(tmp_path / "catalogue-1/set_aside.jsonl")}
        assert reasons.keys() == {f"tmdb {film['id']}" for film in hurt.values()}
        assert all("which is refused" in reason for reason in reasons.values())
        for kind, film in hurt.items():
            assert sum(map(about(film), tmdb.seen)) == 1, kind
        assert other.seen == []


# MediaWiki: `maxlag` in a 200, truncated result with `continue` and a page with no `revisions`, over 50 titles,
# redirect, normalised title, missing and invalid pages: handled; a page is never lost in silence


@pytest.mark.parametrize("site", ["wikipedia", "wikidata"])
def test_maxlag_in_a_200_is_waited_for_as_told(tmp_path: Path, three: Sites, site: str) -> None:
    three.misbehave(only(lambda _: True, faults.lag(retry_after=1), for_ever=False), site)
    assert crawl(tmp_path, params(three, sources=ALL))["joined_by"]["sitelink"] == len(FEW)
    first, second, *_ = (request.time for request in three.fronts[site].seen)
    assert second - first >= 1


def test_maxlag_that_does_not_end_ends_the_crawl_and_no_batch_is_cut_up(tmp_path: Path, three: Sites) -> None:
    three.misbehave(lambda _: faults.lag(retry_after=0), "wikipedia")
    with pytest.raises(MotagsError, match=r"Wikipedia: it answers maxlag \(2 tries\)"):
        crawl(tmp_path, params(three, sources=ALL, fetch__tries=2, max_set_aside=1.0))
    assert len(three.fronts["wikipedia"].seen) == 2


def test_an_error_about_one_page_sets_that_page_aside_alone(tmp_path: Path, three: Sites) -> None:
    broken = answer({"error": {"code": "internal_api_error_DBQueryError", "info": "a broken revision"}})
    three.misbehave(only(about(BAD), broken), "wikipedia")
    crawl(tmp_path, params(three, sources=ALL, max_set_aside=0.2))
    films = films_of(tmp_path / "catalogue-1")
    assert set_aside(tmp_path) == {f"wikipedia {article_of(BAD)}"}
    assert {key for key, film in films.items() if "wikipedia" in film["sources"]} == OTHERS


@pytest.mark.slow
def test_truncated_results_are_put_together_and_no_request_asks_for_more_than_50_titles(tmp_path: Path) -> None:
    films = FILMS[:120]
    need_mediawiki()
    with (
        wiki_of(films, max_result_size=9000) as wiki,
        sites(films, entities=items_of(films), wiki=wiki.api.removesuffix("/w/api.php")) as three,
    ):
        assert crawl(tmp_path, params(three, sources=ALL))["having"]["plot"] == len(films)
        for name in ("wikipedia", "wikidata"):
            sizes = [len(asked(request)) for request in three.fronts[name].seen]
            assert max(sizes) == 50
        assert sum("continue" in request.query for request in three.fronts["wikipedia"].seen) > 3


def test_a_page_that_stays_without_revisions_is_listed_and_the_others_are_had(tmp_path: Path, three: Sites) -> None:
    """An answer that is truncated, says so or not, and never gives the text of one page."""

    def cut(body: Json) -> None:
        for page in body["query"]["pages"]:
            if page["title"] == article_of(BAD):
                page.pop("revisions")
        if len(body["query"]["pages"]) > 1:
            body |= {"continue": {"rvcontinue": "1|2", "continue": "||"}, "batchcomplete": False}

    def fault(request: Request) -> Fault | None:
        if "continue" in request.query:
            return answer(
                {"batchcomplete": True, "query": {"pages": [{"pageid": 1, "ns": 0, "title": article_of(BAD)}]}}
            )
        return changed(three.fronts["wikipedia"], cut)

    three.misbehave(fault, "wikipedia")
    crawl(tmp_path, params(three, sources=ALL, max_set_aside=0.2))
    assert set_aside(tmp_path) == {f"wikipedia {article_of(BAD)}"}
    assert "has left" in rows(tmp_path / "catalogue-1/set_aside.jsonl")[0]["reason"]
    assert sum("plot" in film for film in films_of(tmp_path / "catalogue-1").values()) == len(FEW) - 1


def test_an_answer_that_always_says_continue_does_not_keep_the_crawl_for_ever(tmp_path: Path, three: Sites) -> None:
    three.misbehave(lambda _: answer({"continue": {"rvcontinue": "1|2", "continue": "||"}}), "wikipedia")
    with pytest.raises(MotagsError, match="Wikipedia repeats a continuation"):
        crawl(tmp_path, params(three, sources=ALL, films=1, max_set_aside=0.0))


NAMES = {
    "redirect": lambda film: f"Once {film['title']}",
    "normalised": lambda film: article_of(film).replace(" ", "_"),
    "first letter small": lambda film: article_of(film)[0].lower() + article_of(film)[1:],
}


@pytest.mark.parametrize("kind", NAMES)
def test_an_article_is_found_over_a_redirect_and_over_its_normal_name(tmp_path: Path, wiki: str, kind: str) -> None:
    items = items_of(FEW)
    for film, item in zip(FEW, items, strict=False):
        item["sitelinks"]["enwiki"]["title"] = NAMES[kind](film)
    with sites(FEW, entities=items, wiki=wiki) as three:
        assert crawl(tmp_path, params(three, sources=ALL))["joined_by"]["sitelink"] == len(FEW)
        films = films_of(tmp_path / "catalogue-1")
        assert {film["ids"]["wikipedia"] for film in films.values()} == set(map(article_of, FEW))
        requests = len(three.seen)
        crawl(tmp_path, params(three, sources=ALL), 2)
        assert len(three.seen) == requests


@pytest.mark.parametrize("title", ["Never Written", "A [1] B", "Talk:", "x" * 300, "Special:Export", "de:Foo", "."])
def test_a_missing_or_invalid_article_is_counted_and_takes_no_other_with_it(
    tmp_path: Path, wiki: str, title: str
) -> None:
    items = items_of(FEW)
    items[4]["sitelinks"]["enwiki"]["title"] = title
    renamed = [film | {"title": "Nowhere to be found"} if film is BAD else film for film in FEW]
    with sites(renamed, entities=items, wiki=wiki) as three:
        metrics = crawl(tmp_path, params(three, sources=ALL, max_set_aside=0.1))
        listed = rows(tmp_path / "catalogue-1/set_aside.jsonl")
        assert metrics["met"]["no_film_article"] == 1
        assert all(title in row["where"] for row in listed)
        films = films_of(tmp_path / "catalogue-1")
        assert {key for key, film in films.items() if "wikipedia" in film["sources"]} == OTHERS


# the key in the environment, every error raised, log level DEBUG:
# the key's text is in no log, file, store, metric, traceback or git object

SECRET = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LW9mLXRoZS10ZXN0cw.Zm9yLW5vYm9keS1lbHNl"  # noqa: S105, made up
DEBUG = """
import logging
plain = logging.basicConfig
logging.basicConfig = lambda **options: plain(**options | {"level": logging.DEBUG})
"""


def echo(code: int = 200, **more: Any) -> Fault:
    """An answer with the header that holds the token in its body, as some proxies give when they fail."""

    def fault(handler: BaseHTTPRequestHandler) -> None:
        body = {"status_message": handler.headers["Authorization"], "success": False}
        status(code, json.dumps(body).encode(), content_type="application/json", **more)(handler)

    return fault


def echo_of(front: Front) -> Fault:
    """A film's details with that header in each text."""

    def with_header(handler: BaseHTTPRequestHandler) -> None:
        header = handler.headers["Authorization"]

        def write(body: Json) -> None:
            token = header.removeprefix("Bearer ")
            body |= {"title": f"<{header}>", "overview": header, "tagline": token, "poster_path": f"/{token}.jpg"}
            body["keywords"]["keywords"] = [{"id": 1, "name": header}, {"id": 2, "name": token}]

        changed(front, write)(handler)

    return with_header


def to_elsewhere(handler: BaseHTTPRequestHandler) -> None:
    faults.redirect(f"http://127.0.0.1:9/?was={handler.headers['Authorization']}")(handler)


def echo_type(handler: BaseHTTPRequestHandler) -> None:
    token = handler.headers["Authorization"]
    status(200, f"<p>{token}".encode(), content_type=token, retry_after=token, set_cookie=f"was={token}")(handler)


def echo_status(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.wfile.write(f"HTTP/1.1 {handler.headers['Authorization']}\r\n\r\n".encode())


def echo_bad_header(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.wfile.write(f"HTTP/1.1 200 OK\r\nX-A: b\r\n{handler.headers['Authorization']}\r\n\r\n{{}}".encode())


def leaking(of: Sites) -> Callable[[Request], Fault | None]:
    """A fault of every kind, one a film; the last film is well."""
    kinds: list[Fault] = [
        echo_of(of.fronts["tmdb"]), echo(), echo(500), echo(404), echo(400), echo(429), to_elsewhere, echo_type,
        echo_status, echo_bad_header, faults.reset(), faults.deep(), faults.hang(2),
    ]  # fmt: skip
    by_film = {str(film["id"]): kind for film, kind in zip(FILMS, kinds, strict=False)}
    return lambda request: by_film.get(urlsplit(request.path).path.rsplit("/", 1)[1])


def secrets_in(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.fixture
def open_site() -> Iterator[Sites]:
    """TMDB with a few films more than there are kinds of faults, and the secret as its token."""
    with sites(FILMS[:16]) as tmdb:
        tmdb.tmdb._token = SECRET
        yield tmdb


@pytest.mark.slow
def test_the_key_is_in_no_log_file_store_metric_or_git_object(tmp_path: Path, open_site: Sites) -> None:
    """All loggers say all at level DEBUG; http.client's own print of requests is another switch, and left out."""
    (tmp_path / "debug").mkdir()
    (tmp_path / "debug/sitecustomize.py").write_text(DEBUG)
    made = CrawlProject(tmp_path / "project", token=SECRET)
    made.configure(**open_site.parameters, fetch__tries=2, fetch__timeout=0.5, max_set_aside=1.0)
    open_site.misbehave(leaking(open_site))
    env = made.environment(tmp_path / "debug")
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "GIT_CONFIG_GLOBAL": os.devnull}
    env |= {"DVC_NO_ANALYTICS": "1"}
    env |= {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def do(*command: str, right: int = 0) -> bytes:
        done = subprocess.run(command, cwd=made.root, env=env, capture_output=True, check=False)
        assert done.returncode == right, done.stderr.decode()
        assert SECRET.encode() not in done.stdout + done.stderr
        return done.stdout + done.stderr

    stage = {"cmd": " ".join(["python", *COMMAND]), "params": ["crawl"], "metrics": ["metrics/crawl.json"]}
    outs = {"outs": ["data/catalogue", {"data/raw": {"persist": True}}]}
    (made.root / "dvc.yaml").write_text(json.dumps({"stages": {"crawl": stage | outs}}))
    do("git", "init", "-q")
    do("dvc", "init", "-q")
    assert b"it answers 429" in do(sys.executable, *COMMAND, right=1)
    open_site.misbehave(without_429(leaking(open_site)))
    assert b"GET /3/movie/" in do("dvc", "repro", "-v")
    do("git", "add", "-A", "-f")
    do("git", "commit", "-qm", "All of it")
    objects = do("git", "cat-file", "--batch-all-objects", "--batch")
    assert b"params.yaml" in objects
    assert secrets_in(made.root) == []
    assert any((made.root / ".dvc/cache").rglob("*"))
    texts = (made.catalogue / "films.jsonl").read_text() + (made.catalogue / "set_aside.jsonl").read_text()
    assert "[token]" in texts


@pytest.mark.parametrize("code", [401, 403, 429, 400, 503, 302])
def test_the_key_is_in_no_error_and_no_traceback(
    tmp_path: Path, open_site: Sites, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    open_site.misbehave(lambda _: to_elsewhere if code == 302 else echo(code))
    with pytest.raises(MotagsError) as caught:
        crawl(tmp_path, params(open_site, fetch__tries=2))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert secrets_in(tmp_path) == []


def without_429(fault: Callable[[Request], Fault | None]) -> Callable[[Request], Fault | None]:
    film = str(FILMS[5]["id"])
    return lambda request: None if film in request.path else fault(request)


# a film older than the terms' six months: `motags expire` drops it


def age(shard: Path, keys: set[str], days: int) -> None:
    """Have these keys been fetched so long ago."""
    then = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    aged = [row | {"fetched": then} if row["key"] in keys else row for row in rows(shard)]
    shard.write_text("".join(json.dumps(row) + "\n" for row in aged))
    (shard.parents[1] / "SHA256SUMS").unlink(missing_ok=True)


def expire(made: CrawlProject) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from motags.commands.cli import app; app()", "expire"]
    return subprocess.run(command, cwd=made.root, env=made.environment(), capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_motags_expire_drops_films_older_than_six_months_and_keeps_the_others(tmp_path: Path, three: Sites) -> None:
    made = project(tmp_path, three, sources=ALL)
    assert made.run().returncode == 0
    kept, old = {str(film["id"]) for film in FEW[5:]}, {str(film["id"]) for film in FEW[:5]}
    shard = made.raw / "tmdb/00000.jsonl"
    age(shard, old, 181)
    age(shard, kept, 179)
    before = stored(made.raw)
    done = expire(made)
    assert done.returncode == 0, done.stderr
    assert "older than 180 days: 5 films, 0 lists" in done.stdout
    assert before - stored(made.raw) == {("tmdb", key) for key in old}
    assert not any(f'"id": {key},' in shard.read_text() for key in old)
    assert "0 films, 0 lists" in expire(made).stdout
    requests = len(three.fronts["tmdb"].seen)
    assert made.run().returncode == 0
    fetched = set().union(*map(asked, three.fronts["tmdb"].seen[requests:]))
    assert {("tmdb", key) for key in old} <= fetched
    assert len(rows(made.catalogue / "films.jsonl")) == len(FEW)


def test_a_crawl_drops_expired_films_and_lists_too_also_those_that_it_wants_no_more(
    tmp_path: Path, tmdb: Sites
) -> None:
    crawl(tmp_path, params(tmdb))
    shard = tmp_path / "raw/tmdb/00000.jsonl"
    last = rows(shard)[-1]
    age(shard, {last["key"]}, 181)
    age(tmp_path / "raw/tmdb-lists/00000.jsonl", {"1994 page 1"}, 181)
    requests = len(tmdb.seen)
    crawl(tmp_path, params(tmdb, films=5), 2)
    assert last["content"]["title"] not in shard.read_text()
    assert set().union(*map(asked, tmdb.seen[requests:])) == {("tmdb-lists", "1994 page 1")}


def test_a_crawl_without_tmdb_drops_what_expired_of_it_too(tmp_path: Path, tmdb: Sites) -> None:
    crawl(tmp_path, params(tmdb))
    shard = tmp_path / "raw/tmdb/00000.jsonl"
    first, *others = [row["key"] for row in rows(shard)]
    age(shard, {first}, 181)
    (tmp_path / "films.jsonl").write_text('{"id": "a", "title": "A", "plot": "P."}\n')
    crawl(tmp_path, params(tmdb, sources=["catalogue"], catalogue=str(tmp_path / "films.jsonl")), 2)
    assert [row["key"] for row in rows(shard)] == others


# disk full: non-zero, old outputs intact, nothing half-written under a final name, a rerun succeeds


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of 4 KB on a folder; False where this user may not mount one."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    may = bool(shutil.which("mount")) and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield may
    finally:
        if may:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("full", ["a small disk", "a limit on files"])
def test_a_full_disk_ends_the_crawl_with_a_line_and_loses_nothing(tmp_path: Path, full: str) -> None:
    """Where this user may not mount a small disk, a limit on the size of files stands in for it."""
    with sites(FILMS[:60]) as tmdb:
        whole, made = project(tmp_path / "whole", tmdb), project(tmp_path / "tight", tmdb)
        assert whole.run().returncode == 0
        finished: set[tuple[str, str]] = set()
        with small_disk(made.root / "data") as mounted:
            for kb in (0, 32, 84):
                before = len(tmdb.seen)
                if mounted and full == "a small disk":
                    subprocess.run(["mount", "-o", f"remount,size={max(kb, 4)}k", str(made.root / "data")], check=True)
                    done = made.run()
                else:
                    done = made.run("-W", "ignore", "-c", LIMITED, str(kb * 1024))  # joblib warns of its own limits
                assert re.search("No space left|File too large", one_line(done))
                assert not (made.catalogue / "films.jsonl").exists()
                assert not finished & set().union(*map(asked, tmdb.seen[before:]))
                assert stored(made.raw) >= finished
                finished = stored(made.raw)
            if mounted:
                subprocess.run(["mount", "-o", "remount,size=10m", str(made.root / "data")], check=True)
            before = len(tmdb.seen)
            assert made.run().returncode == 0
            assert not finished & set().union(*map(asked, tmdb.seen[before:]))
            assert made.files() == whole.files()
            assert not [path for path in (made.root / "data").rglob("*") if path.name.endswith(".tmp")]
