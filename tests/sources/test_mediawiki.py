"""The client of a MediaWiki, against a real MediaWiki."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from motags.errors import MotagsError
from motags.sources.fetch import Failed, FetchParams
from motags.sources.fill import Fill
from motags.sources.mediawiki import BATCH, MediaWiki
from motags.sources.store import Record, Table
from servers import mediawiki as real
from servers.mediawiki import Page

POLICY = FetchParams(tries=2, backoff=0.0, max_wait=1.0, timeout=30.0, max_body_mb=16.0)
FILMS = [f"Voyage {n}" for n in range(120)]
PAGES = [
    *(Page(title, f"{title} sets out. {'word ' * 200}[[Category:Voyages]]") for title in FILMS),
    Page("Old name", "#REDIRECT [[Voyage 1]]"),
    Page("Older name", "#REDIRECT [[Voyage 1#Plot]]"),
    Page("Dead end", "#REDIRECT [[Nowhere]]"),
    Page("Café & thé (film)", '<!-- "quoted" --> שלום 😀 [[Category:Voyages by sea]]'),
    Page("Template:Notice", "A notice. [[Category:Voyages by sea]]"),
    Page("Category:Voyages", "[[Category:Travel]]"),
    Page("Category:Voyages by sea", "[[Category:Voyages]]"),
]


def client(api: str) -> MediaWiki:
    return MediaWiki("Wikipedia", api, 1e9, POLICY, "loopback@example.org")


@pytest.fixture(scope="module")
def server() -> Iterator[real.MediaWiki]:
    real.need_mediawiki()
    with real.MediaWiki(PAGES) as server:
        yield server


@pytest.fixture
def wiki(server: real.MediaWiki) -> Iterator[MediaWiki]:
    with client(server.api) as site:
        yield site


def by_key(records: list[Record]) -> dict[str, Record]:
    assert len({record.key for record in records}) == len(records)
    return {record.key: record for record in records}


def test_a_page_comes_with_its_text_and_revision(wiki: MediaWiki) -> None:
    (page,) = wiki.pages(["Voyage 7"])
    assert page.content["title"] == page.key == "Voyage 7"
    assert page.content["wikitext"].startswith("Voyage 7 sets out.")
    assert page.content["timestamp"] == "2020-01-01T00:00:00Z"
    assert isinstance(page.content["pageid"], int)
    assert isinstance(page.revision, int)


def test_50_titles_take_one_request_and_come_in_their_order(wiki: MediaWiki) -> None:
    titles = FILMS[49::-1]
    assert [page.key for page in wiki.pages(titles)] == titles
    assert wiki.requests_made == 1


def test_more_titles_than_the_api_takes_are_refused_not_lost(wiki: MediaWiki) -> None:
    with pytest.raises(Failed, match="The limit is 50"):
        wiki.pages(FILMS[: BATCH + 1])


def test_120_titles_take_3_requests_by_way_of_a_table(wiki: MediaWiki, tmp_path: Path) -> None:
    table, fill = Table(tmp_path / "wikipedia"), Fill(timedelta(days=90))
    fill(table, FILMS, wiki.pages, BATCH, wiki.revisions)
    assert list(table) == FILMS
    assert wiki.requests_made == 3


def test_any_sign_of_a_title_and_text_comes_back_as_it_is(wiki: MediaWiki) -> None:
    (page,) = wiki.pages(["Café & thé (film)"])
    assert page.content["wikitext"] == next(page.text for page in PAGES if page.title.startswith("Café"))


def test_a_redirect_is_followed(wiki: MediaWiki) -> None:
    pages = by_key(wiki.pages(["Old name", "Older name", "Voyage 1"]))
    assert pages["Old name"].content == pages["Older name"].content == {"redirect": "Voyage 1"}
    assert pages["Voyage 1"].content["title"] == "Voyage 1"


def test_a_redirect_to_nowhere_leads_to_a_page_that_is_gone(wiki: MediaWiki) -> None:
    pages = by_key(wiki.pages(["Dead end"]))
    assert pages["Dead end"].content == {"redirect": "Nowhere"}
    assert pages["Nowhere"].gone == "no such page"


@pytest.mark.parametrize("title", ["voyage 1", "Voyage_1", "  Voyage   1 ", ":Voyage 1", "Voyage\u200e 1", "old_name"])
def test_a_title_in_another_form_leads_to_the_page(wiki: MediaWiki, title: str) -> None:
    pages = by_key(wiki.pages([title]))
    assert pages[title].content == {"redirect": "Voyage 1"}
    assert pages["Voyage 1"].revision


def test_a_title_with_combining_accents_leads_to_the_page(wiki: MediaWiki) -> None:
    title = "Cafe\u0301 & the\u0301 (film)"
    pages = by_key(wiki.pages([title]))
    assert pages[title].content == {"redirect": "Café & thé (film)"}


@pytest.mark.parametrize("title", ["%41", "..", "x" * 300, "~~~", "A<b"])
def test_an_invalid_title_is_gone_and_takes_nothing_with_it(wiki: MediaWiki, title: str) -> None:
    pages = by_key(wiki.pages([title, "Voyage 2"]))
    assert pages[title].gone == "invalid title"
    assert pages["Voyage 2"].content


def test_a_missing_page_is_gone_and_takes_nothing_with_it(wiki: MediaWiki) -> None:
    pages = by_key(wiki.pages(["No such voyage", "Voyage 2"]))
    assert pages["No such voyage"] == Record("No such voyage", gone="no such page")
    assert pages["Voyage 2"].content


def test_a_title_that_belongs_to_another_wiki_is_gone(wiki: MediaWiki) -> None:
    pages = by_key(wiki.pages(["doi:10.1 (film)", "Voyage 2"]))
    assert pages["doi:10.1 (film)"].gone
    assert pages["Voyage 2"].content


def test_truncated_answers_are_continued_until_all_is_there(server: real.MediaWiki) -> None:
    with real.MediaWiki(PAGES, max_result_size=3000) as small, client(small.api) as cut, client(server.api) as whole:
        assert cut.pages(FILMS[:50]) == whole.pages(FILMS[:50])
        assert cut.requests_made > 10
        assert cut.members("Voyages") == whole.members("Voyages")


def test_revisions_are_those_of_the_pages(wiki: MediaWiki) -> None:
    pages = wiki.pages(FILMS[:3])
    expected = {page.key: page.revision for page in pages}
    assert wiki.revisions([*FILMS[:3], "No such voyage"]) == expected | {"No such voyage": None}


def test_a_category_gives_its_articles_and_subcategories_but_no_templates(wiki: MediaWiki) -> None:
    assert wiki.members("Voyages") == (sorted(FILMS), ["Voyages by sea"])
    assert wiki.members("Voyages by sea") == (["Café & thé (film)"], [])


def test_a_category_that_is_not_there_is_empty(wiki: MediaWiki) -> None:
    assert wiki.members("No such voyages") == ([], [])


def test_an_error_of_the_api_says_what_the_api_says(wiki: MediaWiki) -> None:
    with pytest.raises(Failed, match="invalidtitle"):
        wiki.members("<>")


def test_an_address_without_an_api_is_named(server: real.MediaWiki) -> None:
    with client(server.api.replace("api.php", "no.php")) as site, pytest.raises(MotagsError, match=r"no api\.php at"):
        site.pages(["Voyage 1"])


def test_pages_survive_the_store(wiki: MediaWiki, tmp_path: Path) -> None:
    table = Table(tmp_path / "wikipedia")
    table.add(wiki.pages(["Old name", "Café & thé (film)", "No such voyage"]))
    table.close()
    again = Table(tmp_path / "wikipedia")
    assert again["Old name"].content == {"redirect": "Voyage 1"}
    assert again["Café & thé (film)"].content["wikitext"].startswith("<!--")
    assert again["No such voyage"].gone == "no such page"
    assert again.revision("Voyage 1") == again["Voyage 1"].revision
