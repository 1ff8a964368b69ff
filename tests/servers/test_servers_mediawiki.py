"""The servers of the tests are what they claim: a real MediaWiki, and a front that misbehaves as told."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from servers import front as faults
from servers.front import Fault, Front, Request, hang, lag, reset, sometimes, status
from servers.mediawiki import MediaWiki, Page, lead_page, need_mediawiki, real_pages

FILMS = [Page(f"Film {n} (film)", f"Film {n}. {'word ' * 400}[[Category:1999 films]]") for n in range(60)]
PAGES = [
    *FILMS,
    Page("Old name", "#REDIRECT [[Film 0 (film)]]"),
    Page("Older name", "#REDIRECT [[Old name]]"),
    Page("Café & co", '{{Infobox film}}\n<!-- "quoted" --> שלום 😀 [[Category:1999 films]]'),
    Page("Category:1999 films", "[[Category:Films by year]]"),
]
Body = dict[str, Any]
Query = dict[str, str | int]


@pytest.fixture(scope="session")
def wiki() -> Iterator[MediaWiki]:
    need_mediawiki()
    with MediaWiki(PAGES) as wiki:
        yield wiki


@pytest.fixture
def front() -> Iterator[Front]:
    with Front(None) as front:
        yield front


def ask(api: str, **query: str | int) -> Body:
    fixed: Query = {"action": "query", "format": "json", "formatversion": 2}
    return requests.get(api, params=fixed | query, timeout=60).json()


def contents(api: str, *titles: str, **query: str | int) -> Body:
    return ask(api, prop="revisions", rvprop="content|ids", rvslots="main", titles="|".join(titles), **query)


def only_revision(body: Body) -> Body:
    (page,) = body["query"]["pages"]
    (revision,) = page["revisions"]
    return revision


@pytest.mark.slow
def test_fifty_titles_are_answered_at_once_whatever_they_are(wiki: MediaWiki) -> None:
    others = ["Older name", "film_0_(film)", "No such film", "[]", "Café & co"]
    body = contents(wiki.api, *[page.title for page in FILMS[1:46]], *others, redirects=1)
    pages = {page["title"]: page for page in body["query"]["pages"]}
    steps = [{"from": "Older name", "to": "Old name"}, {"from": "Old name", "to": "Film 0 (film)"}]
    assert body["query"]["redirects"] == steps
    assert body["query"]["normalized"] == [{"fromencoded": False, "from": "film_0_(film)", "to": "Film 0 (film)"}]
    assert pages["No such film"]["missing"]
    assert pages["[]"]["invalid"]
    assert pages["Café & co"]["revisions"][0]["slots"]["main"]["content"] == PAGES[-2].text
    assert len(pages) == 49


@pytest.mark.slow
def test_more_than_fifty_titles_are_an_error_in_a_200(wiki: MediaWiki) -> None:
    body = contents(wiki.api, *[page.title for page in FILMS])
    assert body["error"]["code"] == "toomanyvalues"


@pytest.mark.slow
def test_a_result_over_the_size_limit_is_truncated_and_continues() -> None:
    need_mediawiki()
    titles = [page.title for page in FILMS[:3]]
    with MediaWiki(PAGES, max_result_size=5000) as small:
        first = contents(small.api, *titles)
        second = contents(small.api, *titles, **first["continue"])
    assert "truncated" in first["warnings"]["result"]["warnings"]
    assert [len(page.get("revisions", [])) for page in first["query"]["pages"]] == [1, 1, 0]
    assert [len(page.get("revisions", [])) for page in second["query"]["pages"]] == [0, 0, 1]
    assert "continue" not in second


@pytest.mark.slow
def test_a_category_lists_its_pages_in_parts_and_its_subcategories(wiki: MediaWiki) -> None:
    listing: Query = {"list": "categorymembers", "cmtitle": "Category:1999 films", "cmlimit": 50}
    first = ask(wiki.api, **listing)
    second = ask(wiki.api, **listing, **first["continue"])
    assert [len(body["query"]["categorymembers"]) for body in (first, second)] == [50, 11]
    body = ask(wiki.api, list="categorymembers", cmtitle="Category:Films by year", cmtype="subcat")
    assert [member["title"] for member in body["query"]["categorymembers"]] == ["Category:1999 films"]


@pytest.mark.slow
def test_an_edit_makes_a_revision_in_one_wiki_only(wiki: MediaWiki) -> None:
    before = only_revision(contents(wiki.api, "Film 3 (film)"))
    with MediaWiki(PAGES) as other:
        other.edit("Film 3 (film)", "New text, שלום.\n[[Category:2000 films]]")
        after = only_revision(contents(other.api, "Film 3 (film)"))
        listed = ask(other.api, list="categorymembers", cmtitle="Category:2000 films")
    assert after["slots"]["main"]["content"] == "New text, שלום.\n[[Category:2000 films]]"
    assert after["parentid"] == before["revid"] < after["revid"]
    assert [member["title"] for member in listed["query"]["categorymembers"]] == ["Film 3 (film)"]
    assert only_revision(contents(wiki.api, "Film 3 (film)")) == before


@pytest.mark.slow
def test_a_deleted_page_is_missing() -> None:
    need_mediawiki()
    with MediaWiki(PAGES) as wiki:
        wiki.delete("Film 3 (film)")
        (page,) = contents(wiki.api, "Film 3 (film)")["query"]["pages"]
    assert page["missing"]


@pytest.mark.slow
def test_real_pages_come_back_as_they_are() -> None:
    need_mediawiki()
    pages = real_pages()
    with MediaWiki(pages) as wiki:
        revisions = [only_revision(contents(wiki.api, page.title)) for page in pages]
    assert [revision["slots"]["main"]["content"] for revision in revisions] == [page.text for page in pages]
    assert len(pages) == 71


@pytest.mark.slow
def test_a_page_that_the_wiki_cannot_take_is_not_lost_in_silence() -> None:
    need_mediawiki()
    with pytest.raises(ValueError, match="1 of 3 pages were not imported"):
        MediaWiki([Page("Fine", "text"), Page("Not <fine>", "text")])


@pytest.mark.slow
def test_the_wiki_ends_with_the_process_that_started_it_even_when_killed() -> None:
    need_mediawiki()
    code = "import time; from servers.mediawiki import *\n"
    code += "with MediaWiki([Page('A', 'a')]) as wiki: print(wiki.api, flush=True); time.sleep(600)"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) as parent:
        api = parent.stdout.readline().strip() if parent.stdout else ""
        assert ask(api, titles="A")["query"]["pages"][0]["title"] == "A"
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while listens(api) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not listens(api)


def port_of(address: str) -> tuple[str, int]:
    return "127.0.0.1", int(urlsplit(address).port or 0)


def listens(address: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex(port_of(address)) == 0


def test_a_film_with_a_lead_makes_an_article_without_a_plot() -> None:
    row = {
        "page": "It%27s_a_Film_(1999_film)",
        "title": "It's a Film",
        "year": 1999,
        "lead": "A film.",
        "cast": ["A B"],
    }
    page = lead_page(row)
    assert page.title == "It's a Film (1999 film)"
    assert page.text.startswith("{{Infobox film\n| name = It's a Film\n| released = {{Film date|1999}}\n")
    assert page.text.endswith("* [[A B]]}}\n}}\nA film.\n\n[[Category:1999 films]]")


@pytest.mark.slow
def test_the_front_passes_the_wiki_s_answers_on_as_they_are(wiki: MediaWiki) -> None:
    query = {"format": "json", "titles": "Film 1 (film)"}
    with Front(wiki.api) as front:
        through = requests.get(f"{front.url}/w/api.php", params={"action": "query"} | query, timeout=60)
    direct = requests.get(wiki.api, params={"action": "query"} | query, timeout=60)
    assert through.content == direct.content
    assert through.headers["Content-Type"] == direct.headers["Content-Type"]
    assert through.headers.get("Content-Encoding") == direct.headers.get("Content-Encoding")


@pytest.mark.slow
@pytest.mark.parametrize("form", [{}, {"formatversion": 1}, {"errorformat": "plaintext"}])
def test_lag_has_the_shape_of_the_real_error(wiki: MediaWiki, form: Query) -> None:
    query: Query = {"action": "query", "format": "json", "maxlag": -2, "formatversion": 2, **form}
    with Front(wiki.api, lambda _: lag(-1, retry_after=5)) as front:
        ours = requests.get(f"{front.url}/w/api.php", params=query, timeout=60)
    real = requests.get(wiki.api, params=query, timeout=60)
    assert shape(ours.json()) == shape(real.json())
    for name in ("Retry-After", "X-Database-Lag", "MediaWiki-API-Error"):
        assert ours.headers[name] == real.headers[name]
    assert ours.status_code == real.status_code == 200


def shape(value: object) -> object:
    """The same keys and types, whatever the words."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value)


def test_the_front_keeps_what_it_was_asked_and_passes_it_on() -> None:
    with Front(None, lambda _: status(201, b"made", x_own=1)) as upstream, Front(upstream.url) as front:
        with requests.Session() as client:
            first = client.post(f"{front.url}/a/b?c=1&d=", data=b"body", headers={"X-Sent": "yes"}, timeout=10)
            second = client.get(f"{front.url}/next", timeout=10)
        assert (first.status_code, first.content, first.headers["X-Own"]) == (201, b"made", "1")
        assert second.status_code == 201
        request = upstream.seen[0]
        assert (request.method, request.path, request.query) == ("POST", "/a/b?c=1&d=", {"c": "1", "d": ""})
        assert (request.headers["x-sent"], request.headers["content-length"]) == ("yes", "4")
        assert request.headers["host"] == urlsplit(upstream.url).netloc
        assert [seen.path for seen in front.seen] == ["/a/b?c=1&d=", "/next"]
        assert front.seen[0].time < front.seen[1].time


def test_gzip_stays_gzip() -> None:
    with Front(None, lambda _: faults.bomb(1)) as upstream, Front(upstream.url) as front:
        sent = requests.get(front.url, stream=True, timeout=10)
        assert len(sent.raw.read(decode_content=False)) < 10_000
        assert len(requests.get(front.url, timeout=10).json()["a"]) == 1_000_000


def test_an_upstream_that_is_gone_is_a_502() -> None:
    with Front(None) as upstream:
        gone = upstream.url
    with Front(gone) as front:
        assert requests.get(front.url, timeout=10).status_code == 502


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (reset(), requests.ConnectionError),
        (hang(60), requests.ReadTimeout),
        (faults.drip(every=1), requests.ConnectionError),
        (faults.short(), requests.exceptions.ChunkedEncodingError),
        (faults.cut(), requests.JSONDecodeError),
        (faults.html(), requests.JSONDecodeError),
        (faults.bad_utf8(), UnicodeDecodeError),
        (faults.deep(), RecursionError),
    ],
    ids=["reset", "hang", "drip", "short", "cut", "html", "bad_utf8", "deep"],
)
def test_a_fault_is_seen_by_the_client(front: Front, fault: Fault, error: type[Exception]) -> None:
    front.fault = lambda _: fault
    started = time.monotonic()
    with pytest.raises(error):
        read(front.url, timeout=0.3)
    assert time.monotonic() - started < 5


def read(url: str, timeout: float) -> None:
    """Read an answer as JSON in UTF-8."""
    reply = requests.get(url, timeout=timeout)
    reply.json()
    reply.content.decode("utf-8")


def test_a_drip_is_slow_but_whole(front: Front) -> None:
    front.fault = lambda _: faults.drip(b'{"a": 1}', every=0.05)
    started = time.monotonic()
    assert requests.get(front.url, timeout=10).json() == {"a": 1}
    assert time.monotonic() - started > 0.35


def test_a_reset_is_a_reset_and_not_an_end(front: Front) -> None:
    front.fault = lambda _: reset()
    with socket.create_connection(port_of(front.url)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(100)


@pytest.mark.parametrize(
    ("fault", "sent", "unpacked"), [(faults.big(3), 3e6, 3e6), (faults.bomb(30), 1.3e5, 3e7)], ids=["big", "bomb"]
)
def test_a_large_body_is_as_large_as_told(front: Front, fault: Fault, sent: float, unpacked: float) -> None:
    front.fault = lambda _: fault
    with requests.get(front.url, stream=True, timeout=10) as reply:
        received = sum(len(piece) for piece in reply.raw.stream(65536, decode_content=False))
    assert received == pytest.approx(sent, rel=0.3)
    assert len(requests.get(front.url, timeout=10).json()["a"]) == unpacked


def test_a_status_comes_with_its_headers(front: Front) -> None:
    front.fault = lambda _: status(429, b"slow", retry_after=2)
    reply = requests.get(front.url, timeout=10)
    assert (reply.status_code, reply.content, reply.headers["Retry-After"]) == (429, b"slow", "2")


def test_a_redirect_names_where_to_go(front: Front) -> None:
    front.fault = lambda _: faults.redirect("file:///etc/hostname", code=301)
    reply = requests.get(front.url, timeout=10, allow_redirects=False)
    assert (reply.status_code, reply.headers["Location"]) == (301, "file:///etc/hostname")


def test_an_answer_is_json(front: Front) -> None:
    front.fault = lambda request: faults.answer({"page": request.query["page"], "title": "é"}, x_own=1)
    reply = requests.get(front.url, params={"page": "2"}, timeout=10)
    assert reply.json() == {"page": "2", "title": "é"}
    assert reply.headers["X-Own"] == "1"


def test_sometimes_is_a_share_and_the_same_requests_each_time() -> None:
    makers: list[Callable[[], Fault]] = [reset, lambda: status(500)]
    request = Request(0.0, "GET", "/", {}, {})
    first, again, other = (sometimes(0.3, makers, seed) for seed in (1, 1, 2))
    drawn = [[fault(request) is not None for _ in range(1000)] for fault in (first, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert 250 < sum(drawn[0]) < 350


def test_the_front_closes_while_a_client_hangs() -> None:
    with Front(None, lambda _: hang(600)) as front:
        client = socket.create_connection(port_of(front.url))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while not front.seen:
            time.sleep(0.01)
        started = time.monotonic()
    assert time.monotonic() - started < 1
    with client:
        assert client.recv(100) == b""
