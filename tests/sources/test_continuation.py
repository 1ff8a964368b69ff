"""Answers that say that they go on, and do not: every crawl ends, and what can't be had is named."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from motags.errors import MotagsError
from motags.sources import mediawiki
from motags.sources.fetch import Failed, FetchParams, Stuck
from motags.sources.fill import Fill
from motags.sources.mediawiki import BATCH, MediaWiki
from motags.sources.store import Record, Table
from motags.sources.tmdb import TOKEN, Tmdb, TmdbSite
from servers import mediawiki as real
from servers import tmdb as loopback
from servers.crawling import crawl, crawl_params, rows
from servers.mediawiki import Page

POLICY = FetchParams(tries=2, backoff=0.0, max_wait=1.0, timeout=30.0, max_body_mb=16.0)
LIMIT = 3000  # bytes of an answer
BOX = "{{Infobox film\n| name = x\n| released = {{Film date|1994|5|6}}\n}}\nA film.\n== Plot ==\n"
SHORT = [f"Short {n} (film)" for n in range(6)]
LONG = [f"Long {n} (film)" for n in range(2)]
PAGES = [
    *(Page(title, f"{BOX}{'They sail. ' * 40}[[Category:1994 films]]") for title in SHORT),
    *(Page(title, f"{BOX}{'They sail. ' * 900}[[Category:1994 films]]") for title in LONG),
    Page("Category:1994 films", "x"),
    Page(f"Category:{'Very ' * 20}long films", "[[Category:1994 films]]"),
]
SMALL = 60  # bytes: less than the name of the last category


def client(api: str) -> MediaWiki:
    return MediaWiki("Wikipedia", api, 1e9, POLICY, "loopback@example.org")


@pytest.fixture(scope="module")
def limited() -> Iterator[real.MediaWiki]:
    real.need_mediawiki()
    with real.MediaWiki(PAGES, max_result_size=LIMIT) as server:
        yield server


def test_a_page_larger_than_the_limit_of_a_real_wiki_is_set_aside_and_the_others_come(
    limited: real.MediaWiki, tmp_path: Path
) -> None:
    table, fill = Table(tmp_path / "wikipedia"), Fill(timedelta(days=90))
    with client(limited.api) as wiki:
        fill(table, [*SHORT[:3], *LONG, *SHORT[3:]], wiki.pages, BATCH, wiki.revisions)
        requests = wiki.requests_made
    assert sorted(table) == SHORT
    assert [row.where for row in fill.aside] == [f"wikipedia {title}" for title in LONG]
    assert all("larger than it sends in one answer" in row.reason for row in fill.aside)
    assert requests <= 4 + 2 * len(LONG) + len(SHORT)  # the batch up to where it is stuck, then each page


def test_a_whole_crawl_of_such_a_wiki_ends_and_says_what_is_missing(limited: real.MediaWiki, tmp_path: Path) -> None:
    params = crawl_params(sources=["wikipedia"], wikipedia__api=limited.api, max_set_aside=0.5)
    counts = crawl(tmp_path, params)
    assert (counts["films"], counts["set_aside"]) == (len(SHORT), len(LONG))
    aside = {row["where"] for row in rows(tmp_path / "catalogue-1/set_aside.jsonl")}
    assert aside == {f"wikipedia {title}" for title in LONG}


def test_a_category_with_a_member_larger_than_the_limit_of_a_real_wiki_is_set_aside(tmp_path: Path) -> None:
    with real.MediaWiki(PAGES, max_result_size=SMALL) as server, client(server.api) as wiki:
        with pytest.raises(Stuck, match="repeats a continuation"):
            wiki.members("1994 films")
        assert wiki.members("1995 films") == ([], [])
        table, fill = Table(tmp_path / "wikipedia-categories"), Fill(timedelta(days=90))
        fill(
            table, ["1994 films", "1995 films"], lambda keys: [Record(key, wiki.members(key)) for key in keys],
            needed=True,
        )  # fmt: skip
    assert list(table) == ["1995 films"]
    assert [row.where for row in fill.aside] == ["wikipedia-categories 1994 films"]


def test_the_members_of_a_category_come_in_as_many_answers_as_a_real_wiki_needs() -> None:
    with real.MediaWiki(PAGES[:-1], max_result_size=SMALL) as server, client(server.api) as wiki:
        assert wiki.members("1994 films") == (sorted([*SHORT, *LONG]), [])
        assert wiki.requests_made > 1


def answering(monkeypatch: pytest.MonkeyPatch, *places: Any) -> MediaWiki:
    """A wiki whose answers go on at these places, the last one for ever; `...` says nothing of going on."""
    wiki = client("http://127.0.0.1:1/w/api.php")
    asked: list[dict[str, Any]] = []

    def ask(query: dict[str, Any]) -> dict[str, Any]:
        place = places[min(len(asked), len(places) - 1)]
        asked.append(query)
        return {"query": {"categorymembers": []}} | ({} if place is ... else {"continue": place})

    monkeypatch.setattr(wiki, "ask", ask)
    return wiki


@pytest.mark.parametrize(
    ("places", "portions", "reason"),
    [
        ([{"cmcontinue": "a", "continue": "-||"}], 2, "repeats a continuation"),
        ([{"cmcontinue": "a"}, {"cmcontinue": "b"}, {"cmcontinue": "a"}], 3, "repeats a continuation"),
        ([{}], 1, "sends an empty continuation"),
        ([{"cmcontinue": "", "continue": ""}], 1, "sends an empty continuation"),
        *(
            ([odd], 1, "continuation in an unknown shape")
            for odd in ([], [1], "", "a", 7, None, True, {"cmcontinue": ["a"]})
        ),
        ([{"cmcontinue": {"a": 1}}], 1, "continuation in an unknown shape"),
        ([{"cmcontinue": None}], 1, "continuation in an unknown shape"),
    ],
)
def test_an_answer_that_goes_on_nowhere_ends(
    monkeypatch: pytest.MonkeyPatch, places: list[Any], portions: int, reason: str
) -> None:
    wiki, count = answering(monkeypatch, *places), 0
    with pytest.raises(Stuck, match=reason):  # noqa: PT012, what came before counts
        for _ in wiki.portions({"list": "categorymembers"}):
            count += 1
    assert count == portions


def test_an_answer_that_goes_on_and_ends_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    wiki = answering(monkeypatch, {"cmcontinue": "a"}, {"cmcontinue": "b"}, ...)
    assert len(list(wiki.portions({}))) == 3


def test_an_answer_that_goes_on_at_ever_new_places_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mediawiki, "MAX_PORTIONS", 30)
    wiki = answering(monkeypatch, *({"cmcontinue": str(n)} for n in range(100)))
    with pytest.raises(Stuck, match="more than 30 portions"):
        list(wiki.portions({}))


class Site:
    """Gives what fits into one answer: `large` keys never, more than one key at once never."""

    def __init__(self, *large: str) -> None:
        self.large, self.asked = set(large), list[list[str]]()

    def __call__(self, keys: Sequence[str]) -> list[Record]:
        self.asked.append(list(keys))
        if len(keys) > 1 or keys[0] in self.large:
            raise Stuck("it goes on at the same place again")
        return [Record(keys[0], {"size": 1}, revision=1)]

    def revisions(self, keys: Sequence[str]) -> dict[str, int | None]:
        if len(keys) > 1 or keys[0] in self.large:
            raise Stuck("it goes on at the same place again")
        return {keys[0]: 2}


def test_where_an_answer_is_stuck_each_key_is_asked_for_once_by_itself(tmp_path: Path) -> None:
    table, fill, site = Table(tmp_path / "films"), Fill(timedelta(days=1)), Site("b", "d")
    fill(table, "abcde", site, 50)
    assert site.asked == [list("abcde"), *([key] for key in "abcde")]
    assert (list(table), [row.where for row in fill.aside]) == (list("ace"), ["films b", "films d"])


def test_where_revisions_are_stuck_the_other_keys_are_still_looked_after(tmp_path: Path) -> None:
    table, site = Table(tmp_path / "films"), Site("b")
    table.add([Record(key, {"size": 1}, revision=1) for key in "abc"])
    Fill(timedelta(seconds=-1))(table, "abc", site, 50, site.revisions)
    assert site.asked == [["a", "c"], ["a"], ["c"]]


def test_a_needed_key_that_failed_otherwise_still_ends_the_crawl(tmp_path: Path) -> None:
    def fail(_: Sequence[str]) -> list[Record]:
        raise Failed("the site is tired")

    with pytest.raises(MotagsError, match="lists a is needed: the site is tired; run the same command again"):
        Fill(timedelta(days=1))(Table(tmp_path / "lists"), ["a"], fail, needed=True)


@pytest.mark.parametrize("films", [[[1, 9], [2, 8]], []])
def test_a_list_of_tmdb_that_repeats_itself_or_is_empty_ends_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, films: list[list[int]]
) -> None:
    lists, pages = Table(tmp_path / "tmdb-lists"), []
    tmdb = Tmdb(TmdbSite("TMDB", 1e9, POLICY, "loopback@example.org", loopback.BEARER, TOKEN), "http://127.0.0.1:1/3")

    def page(number: int, *_: object) -> dict[str, Any]:
        pages.append(number)
        return {"pages": 400, "films": [[1, 9], [2, 8]] if number == 1 else films}

    monkeypatch.setattr(tmdb, "_page", page)
    assert list(tmdb.most_voted(lists, [1994], [], [])) == [1, 2]
    assert pages == [1, 2]
    assert [row.where for row in tmdb.aside] == ["tmdb-lists 1994 page 2"]
    assert list(lists) == ["1994 page 1"]  # the next crawl asks for the rest again
