"""The crawl from end to end: each choice of sources, on servers on loopback."""

import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from builders import Make
from motags.errors import MotagsError
from motags.films.catalogue import read_films
from motags.films.film import Film
from motags.params import read_params
from motags.sources import wikipedia
from motags.sources.params import CrawlParams
from motags.sources.tmdb import TOKEN
from servers.crawling import (
    Sites,
    article_of,
    crawl,
    crawl_params,
    crawl_section,
    items_of,
    many_films,
    page_of,
    rows,
    sites,
)
from servers.mediawiki import MediaWiki, Page, need_mediawiki, real_pages
from servers.tmdb import BEARER, Json, Tmdb, real_films
from servers.wikidata import entity, item

FILMS = many_films(60)
ALL = ["wikipedia", "wikidata", "tmdb"]
BOX = "{{Infobox film\n| name = x\n}}\n"
SAILORS = "== Plot ==\n" + "A sailor comes home and finds that nobody knows her any more. " * 4
RELEASED = BOX.replace("name = x", "name = x\n| released = {{Film date|1994|5|6}}")
SEA = Page("The Sea (1994 film)", f"{RELEASED}A film.\n{SAILORS}\n[[Category:1994 sea films]]")
SALT = Page("The Salt (1994 film)", f"{RELEASED}A film.\n{SAILORS}\n[[Category:1994 salt films]]")
PAGES = [
    *map(page_of, FILMS),
    SEA,
    SALT,
    Page("The Lake (1980 film)", f"{BOX}A film.\n[[Category:1980 films]][[Category:1994 films| re-released]]"),
    Page("List of films of 1994", "Many.\n[[Category:1994 films|*]]"),
    Page("Sea film", "#REDIRECT [[The Sea (1994 film)]]\n[[Category:1994 films]]"),
    Page("Category:1994 films", "[[Category:1990s films]]"),
    Page("Category:1994 sea films", "[[Category:1994 films]] [[Category:1994 salt films]]"),
    Page("Category:1994 salt films", "[[Category:1994 sea films]]"),
    Page("Heron (film)", f"{BOX}{SAILORS}\n[[Category:1994 films by colour]][[Category:1995 films]]"),
    Page("Egret", f"{BOX}{SAILORS}\n[[Category:1995 films]]"),
    Page("Bittern (1996 film)", f"{BOX}{SAILORS}\n[[Category:1996 films]]"),
    Page("Stork (1995 film)", "#REDIRECT [[The White Stork]]"),
    Page("The White Stork", f"{BOX}{SAILORS}\n[[Category:1995 films]]"),
    Page("Crane", "'''Crane''' may be:\n* a bird\n* a machine\n{{disambiguation}}"),
    Page("Ibis", f"{BOX}{SAILORS}\n[[Category:1970 films]]"),
    Page("Osprey (film)", f"{BOX}{SAILORS}\n[[Category:1995 films]]"),
    Page("Pelican (1995 film)", "A novel.\n[[Category:1995 novels]]"),
]
YEAR_FILMS = {f"{year} films" for year in range(1925, 2024)}
BIRDS = {  # title: year at TMDB, article
    "Heron": (1995, "Heron (film)"),
    "Egret": (1995, "Egret"),
    "Bittern": (1995, "Bittern (1996 film)"),
    "Stork": (1995, "The White Stork"),
    "Crane": (1995, None),
    "Ibis": (1995, None),
    "Pelican": (1995, None),
    "Kingfisher": (1995, None),
}


def film_like(number: int, title: str, year: int) -> Json:
    key = 9_500_000 + number
    ids = {"id": key, "imdb_id": f"tt{99_500_000 + number}", "wikidata_id": None}
    return FILMS[0] | ids | {"title": title, "original_title": title, "release_date": f"{year}-06-07"}


FLOCK = [film_like(number, title, year) for number, (title, (year, _)) in enumerate(BIRDS.items())]


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, BEARER)


@pytest.fixture(scope="module")
def wiki() -> Iterator[MediaWiki]:
    need_mediawiki()
    with MediaWiki(PAGES) as wiki:
        yield wiki


@pytest.fixture
def world(wiki: MediaWiki) -> Iterator[Sites]:
    """All three sites, with the same 60 films."""
    with sites(FILMS, entities=items_of(FILMS), wiki=wiki.api) as world:
        yield world


def films_of(root: Path, run: int = 1) -> dict[str, Film]:
    films = list(read_films(root / f"catalogue-{run}"))
    by_title = {film.title: film for film in films}
    assert len({film.id for film in films}) == len(films)
    return by_title


def start(world: Sites, root: Path, sources: Sequence[str], run: int = 1, **changes: Any) -> dict[str, Any]:
    """Crawl; give the metrics."""
    return crawl(root, crawl_params(sources=list(sources), **world.parameters | changes), run)


def asked(world: Sites, name: str) -> list[dict[str, str]]:
    return [request.query for request in world.fronts[name].seen]


# Wikipedia alone


def test_wikipedia_alone_gives_the_films_of_a_category_a_year(world: Sites, tmp_path: Path) -> None:
    counts = start(world, tmp_path, ["wikipedia"])
    named = {page.title for page in PAGES if re.search(r"Category:199[456] films(\||\])", page.text)}
    others = {"Category:1994 sea films", "List of films of 1994", "The Lake (1980 film)", "Sea film"}
    found = {film.ids["wikipedia"] for film in films_of(tmp_path).values()}
    assert found == named - others | {SEA.title}  # by way of the redirect Sea film
    assert counts["met"] == {"not_films": 1, "other_years": 1}
    assert {film.id for film in films_of(tmp_path).values() if not film.id.startswith("wikipedia:")} == set()
    assert not world.fronts["tmdb"].seen
    assert not world.fronts["wikidata"].seen


def test_an_article_has_its_title_year_plot_lead_and_address(world: Sites, tmp_path: Path) -> None:
    start(world, tmp_path, ["wikipedia"])
    film = films_of(tmp_path)[FILMS[0]["title"]]
    assert film.year == int(FILMS[0]["release_date"][:4])
    assert film.plot
    assert film.plot.count("found at dawn") == 6
    assert film.lead == f"{film.title} is a {film.year} film."
    assert film.origins == dict.fromkeys(("title", "year", "plot", "lead"), "wikipedia")
    source = film.sources["wikipedia"]
    assert (
        source.url == f"{world.parameters['wikipedia__api'].removesuffix('api.php')}index.php?oldid={source.revision}"
    )


@pytest.mark.parametrize(
    ("depth", "found"), [(1, {"The Sea"}), (2, {"The Sea", "The Salt"}), (9, {"The Sea", "The Salt"})]
)
def test_subcategories_are_read_down_to_the_depth(world: Sites, tmp_path: Path, depth: int, found: set[str]) -> None:
    start(world, tmp_path, ["wikipedia"], wikipedia__depth=depth, wikipedia__categories=["1990s films"])
    without = set(films_of(tmp_path))
    assert ("The Sea" in without, "The Salt" in without) == (True, depth > 2)
    start(world, tmp_path, ["wikipedia"], 2, wikipedia__depth=depth - 1, wikipedia__categories=["1994 sea films"])
    assert set(films_of(tmp_path, 2)) == found
    assert len({query["cmtitle"] for query in asked(world, "wikipedia") if "cmtitle" in query}) <= 4


def test_wikipedia_alone_stops_at_the_number_of_films(world: Sites, tmp_path: Path) -> None:
    assert start(world, tmp_path, ["wikipedia"], films=10)["films"] == 10
    texts = [query for query in asked(world, "wikipedia") if "rvprop" in query]
    assert len(texts) == 1
    few = set(films_of(tmp_path))
    start(world, tmp_path / "again", ["wikipedia"], films=10)
    assert set(films_of(tmp_path / "again")) == few


# Wikidata and Wikipedia


def test_wikidata_leads_to_articles_by_their_sitelinks(world: Sites, tmp_path: Path) -> None:
    counts = start(world, tmp_path, ["wikipedia", "wikidata"])
    films = films_of(tmp_path)
    assert set(films) == {film["title"] for film in FILMS}
    joined = {
        "tmdb_id": 0,
        "imdb_id": 0,
        "wikidata_id": 0,
        "sitelink": 60,
        "title_and_year": 0,
        "title_and_near_year": 0,
    }
    assert counts["joined_by"] == joined
    film = films[FILMS[0]["title"]]
    assert film.id == f"wikidata:{FILMS[0]['wikidata_id']}"
    assert film.ids == {
        "imdb": FILMS[0]["imdb_id"],
        "tmdb": str(FILMS[0]["id"]),
        "wikidata": FILMS[0]["wikidata_id"],
        "wikipedia": article_of(FILMS[0]),
    }
    assert [(tag.name, tag.kind) for tag in film.tags] == [("drama film", "genre"), ("promise", "keyword")]
    assert not world.fronts["tmdb"].seen


def test_batches_of_50_are_asked_for(world: Sites, tmp_path: Path) -> None:
    start(world, tmp_path, ["wikipedia", "wikidata"])
    assert [len(query["titles"].split("|")) for query in asked(world, "wikipedia")] == [50, 10]
    items = [len(query["ids"].split("|")) for query in asked(world, "wikidata") if "ids" in query]
    assert items == [50, 10, 2]


def test_a_sitelink_may_lead_over_a_redirect_or_to_no_film(wiki: MediaWiki, tmp_path: Path) -> None:
    links = {"A": "Stork (1995 film)", "B": "Pelican (1995 film)", "C": "No such page", "D": "Egret"}
    items = [
        entity(f"Q{n}", title, article=page, dates=["1995"]) for n, (title, page) in enumerate(links.items(), start=1)
    ]
    with sites([], entities=[*items, item("Q11424", "film", {}, {}, 1)], wiki=wiki.api) as world:
        counts = start(world, tmp_path, ["wikidata", "wikipedia"])
    films = films_of(tmp_path)
    pages = {title: film.ids.get("wikipedia") for title, film in films.items()}
    assert pages == {"A": "The White Stork", "B": None, "C": None, "D": "Egret"}
    assert counts["met"]["no_film_article"] == 2


def test_two_items_that_lead_to_one_article_are_ambiguous(wiki: MediaWiki, tmp_path: Path) -> None:
    items = [
        entity("Q1", "One", article="Stork (1995 film)", dates=["1995"]),
        entity("Q2", "Two", article="The White Stork", dates=["1995"]),
    ]
    with sites([], entities=items, wiki=wiki.api) as world:
        counts = start(world, tmp_path, ["wikidata", "wikipedia"])
    assert (counts["films"], counts["ambiguous"], counts["having"]["plot"]) == (2, 2, 0)
    assert {row["where"] for row in rows(tmp_path / "catalogue-1/ambiguous.jsonl")} == {"wikidata Q1", "wikidata Q2"}


# All three


def test_all_three_make_one_row_of_each_film(world: Sites, tmp_path: Path) -> None:
    counts = start(world, tmp_path, ALL)
    films = films_of(tmp_path)
    assert set(films) == {film["title"] for film in FILMS}
    joined = {
        "tmdb_id": 60,
        "imdb_id": 0,
        "wikidata_id": 0,
        "sitelink": 60,
        "title_and_year": 0,
        "title_and_near_year": 0,
    }
    assert (counts["joined_by"], counts["ambiguous"], counts["set_aside"]) == (joined, 0, 0)
    film, source = films[FILMS[0]["title"]], FILMS[0]
    assert film.id == f"tmdb:{source['id']}"
    assert (film.synopsis, film.tagline) == (source["overview"], source["tagline"])
    assert film.origins["plot"] == "wikipedia"
    assert film.origins["synopsis"] == "tmdb"
    assert set(film.sources) == set(ALL)
    by_source = {source: [tag.name for tag in film.tags if source in tag.sources] for source in ALL}
    assert by_source["wikidata"] == ["drama film", "promise"]
    assert by_source["tmdb"] == [each["name"] for each in [*source["genres"], *source["keywords"]]]


def test_the_order_of_the_sources_does_not_matter(world: Sites, tmp_path: Path) -> None:
    catalogues = []
    for run, order in enumerate(permutations(ALL), start=1):
        start(world, tmp_path, order, run=run)
        catalogues.append((tmp_path / f"catalogue-{run}/films.jsonl").read_bytes())
    assert len(set(catalogues)) == 1


@pytest.mark.parametrize("sources", [["tmdb"], ["tmdb", "wikidata"], ["tmdb", "wikipedia"], ALL])
def test_a_film_of_tmdb_is_one_row_however_many_sources(world: Sites, tmp_path: Path, sources: list[str]) -> None:
    assert start(world, tmp_path, sources, films=25)["films"] == 25
    assert [film.id for film in read_films(tmp_path / "catalogue-1")] == [f"tmdb:{film['id']}" for film in FILMS[:25]]


def test_an_item_is_found_by_the_id_that_it_bears_if_tmdb_names_none(wiki: MediaWiki, tmp_path: Path) -> None:
    films = [film | {"wikidata_id": None} for film in FILMS[:4]]
    items = items_of(FILMS[:4])
    for each in items[2:4]:
        del each["claims"]["P4947"]
    with sites(films, entities=items, wiki=wiki.api) as world:
        counts = start(world, tmp_path, ALL)
    joined = {
        "tmdb_id": 2,
        "imdb_id": 2,
        "wikidata_id": 0,
        "sitelink": 4,
        "title_and_year": 0,
        "title_and_near_year": 0,
    }
    assert counts["joined_by"] == joined


def test_two_items_that_bear_the_id_are_listed_and_none_is_taken(wiki: MediaWiki, tmp_path: Path) -> None:
    films = [film | {"wikidata_id": None} for film in FILMS[:2]]
    twin = items_of(FILMS[:1])[0] | {"id": "Q77"}
    with sites(films, entities=[*items_of(FILMS[:2]), twin], wiki=wiki.api) as world:
        counts = start(world, tmp_path, ["tmdb", "wikidata"])
    (row,) = rows(tmp_path / "catalogue-1/ambiguous.jsonl")
    assert row["where"] == f"tmdb {FILMS[0]['id']}"
    assert row["reason"].startswith("ambiguous: tmdb_id of Q")
    assert "wikidata" not in films_of(tmp_path)[FILMS[0]["title"]].sources
    assert (counts["ambiguous"], counts["joined_by"]["tmdb_id"]) == (1, 1)


# TMDB and Wikipedia


@pytest.fixture
def flock(wiki: MediaWiki) -> Iterator[Sites]:
    with sites(FLOCK, wiki=wiki.api) as flock:
        yield flock


def test_articles_are_found_by_title_and_year(flock: Sites, tmp_path: Path) -> None:
    counts = start(flock, tmp_path, ["tmdb", "wikipedia"])
    found = {title: film.ids.get("wikipedia") for title, film in films_of(tmp_path).items()}
    assert found == {title: article for title, (_, article) in BIRDS.items()}
    joined = counts["joined_by"]
    assert (joined["title_and_year"], joined["title_and_near_year"]) == (3, 1)


def test_a_disambiguation_page_is_listed_as_ambiguous(flock: Sites, tmp_path: Path) -> None:
    start(flock, tmp_path, ["tmdb", "wikipedia"])
    (row,) = rows(tmp_path / "catalogue-1/ambiguous.jsonl")
    crane = next(film["id"] for film in FLOCK if film["title"] == "Crane")
    assert row == {"where": f"tmdb {crane}", "reason": "ambiguous: 'Crane' names several things"}


def test_two_films_that_claim_one_article_are_listed_and_neither_has_it(wiki: MediaWiki, tmp_path: Path) -> None:
    films = [film_like(1, "Osprey", 1994), film_like(2, "Osprey", 1996)]
    with sites(films, wiki=wiki.api) as world:
        counts = start(world, tmp_path, ["tmdb", "wikipedia"])
    listed = rows(tmp_path / "catalogue-1/ambiguous.jsonl")
    assert [row["where"] for row in listed] == [f"tmdb {film['id']}" for film in films]
    assert all("'Osprey (film)' is claimed by tmdb 95" in row["reason"] for row in listed)
    assert (counts["films"], counts["having"]["plot"]) == (2, 0)


def test_odd_titles_find_nothing_and_set_no_film_aside(wiki: MediaWiki, tmp_path: Path) -> None:
    odd = ["#Alive|[x]", "<>", "%41", "doi:10.1", "Cafe\u0301 Sea", "../", "~~~", "S" * 300, "Talk:Egret", " "]
    films = [film_like(number, title, 1995) for number, title in enumerate(odd) if title.strip()]
    with sites(films, wiki=wiki.api) as world:
        counts = start(world, tmp_path, ["tmdb", "wikipedia"], max_set_aside=1.0)
    assert rows(tmp_path / "catalogue-1/set_aside.jsonl") == []
    assert (counts["films"], counts["having"]["plot"]) == (len(films), 0)


# TMDB alone


def test_tmdb_alone_asks_nobody_else(world: Sites, tmp_path: Path) -> None:
    counts = start(world, tmp_path, ["tmdb"], films=25)
    synopses = sum(bool(film["overview"]) for film in FILMS[:25])
    having = {field: counts["having"][field] for field in ("plot", "synopsis", "lead", "tags")}
    assert having == {"plot": 0, "synopsis": synopses, "lead": 0, "tags": 25}
    assert not world.fronts["wikipedia"].seen
    assert not world.fronts["wikidata"].seen


# Going on, and looking after what is old


@pytest.mark.parametrize("sources", [["wikipedia"], ["wikipedia", "wikidata"], ["tmdb", "wikipedia"], ["tmdb"], ALL])
def test_a_second_run_makes_no_requests_and_the_same_files(world: Sites, tmp_path: Path, sources: list[str]) -> None:
    first = start(world, tmp_path, sources)
    before = len(world.seen)
    assert start(world, tmp_path, sources, run=2) == first
    assert len(world.seen) == before
    for name in ("films.jsonl", "ambiguous.jsonl", "set_aside.jsonl", "ATTRIBUTION.md"):
        assert (tmp_path / "catalogue-1" / name).read_bytes() == (tmp_path / "catalogue-2" / name).read_bytes()


def test_more_films_ask_only_for_what_is_missing(world: Sites, tmp_path: Path) -> None:
    start(world, tmp_path, ["tmdb"], films=20)
    before = len(world.seen)
    start(world, tmp_path, ["tmdb"], films=30, run=2)
    details = [request.path for request in world.seen[before:] if "/movie/9" in request.path]
    assert len(details) == 10


@pytest.fixture
def aged(tmp_path: Path) -> Iterator[tuple[MediaWiki, Sites]]:
    """A wiki of its own, crawled; more than a second ago, the least that the store tells apart."""
    need_mediawiki()
    with MediaWiki(PAGES) as wiki, sites(FILMS, entities=items_of(FILMS), wiki=wiki.api) as world:
        start(world, tmp_path, ["wikipedia", "wikidata"])
        for front in world.fronts.values():
            front.seen.clear()
        time.sleep(1.1)
        yield wiki, world


def test_old_pages_are_looked_after_and_only_the_changed_one_is_fetched(
    aged: tuple[MediaWiki, Sites], tmp_path: Path
) -> None:
    wiki, world = aged
    edited, title = PAGES[0].title, FILMS[0]["title"]
    wiki.edit(edited, PAGES[0].text.replace("promise", "treaty"))
    start(world, tmp_path, ["wikipedia", "wikidata"], run=2, refresh_days=0.0)
    looked = [query for query in asked(world, "wikipedia") if query["prop"] == "info"]
    assert sorted(len(query["titles"].split("|")) for query in looked) == [10, 50]
    assert [query["titles"] for query in asked(world, "wikipedia") if query["prop"] != "info"] == [edited]
    items = [query for query in asked(world, "wikidata") if "ids" in query]
    assert [(len(query["ids"].split("|")), query["props"]) for query in items] == [
        (50, "info"),
        (10, "info"),
        (2, "info"),
    ]
    before, after = films_of(tmp_path), films_of(tmp_path, 2)
    assert "treaty" in (after[title].plot or "")
    changed = [name for name in after if after[name].plot != before[name].plot]
    assert changed == [title]
    assert (after[title].sources["wikipedia"].revision or 0) > (before[title].sources["wikipedia"].revision or 0)


def test_nothing_is_looked_after_before_its_time_and_then_once(aged: tuple[MediaWiki, Sites], tmp_path: Path) -> None:
    _, world = aged
    start(world, tmp_path, ["wikipedia", "wikidata"], run=2, refresh_days=1.0)
    assert world.seen == []
    start(world, tmp_path, ["wikipedia", "wikidata"], run=3, refresh_days=0.0)
    before = len(world.seen)
    assert before
    start(world, tmp_path, ["wikipedia", "wikidata"], run=4, refresh_days=60 / 86400)
    assert len(world.seen) == before


def test_a_page_that_was_deleted_is_gone_after_the_next_look(aged: tuple[MediaWiki, Sites], tmp_path: Path) -> None:
    wiki, world = aged
    wiki.delete(PAGES[1].title)
    start(world, tmp_path, ["wikipedia", "wikidata"], run=2, refresh_days=0.0)
    film = films_of(tmp_path, 2)[FILMS[1]["title"]]
    assert film.plot is None
    assert "wikipedia" not in film.sources


# Filters


@pytest.mark.parametrize("sources", [["wikipedia"], ["wikipedia", "wikidata"], ["tmdb"]])
def test_years_choose_films(world: Sites, tmp_path: Path, sources: list[str]) -> None:
    start(world, tmp_path, sources, first_year=1995, last_year=1995)
    films = films_of(tmp_path)
    assert {film.year for film in films.values()} == {1995}
    assert {film["title"] for film in FILMS if film["release_date"][:4] == "1995"} <= set(films)


def test_wikidata_gives_films_by_the_year_of_their_first_release(tmp_path: Path) -> None:
    items = [entity("Q1", "Early", article="Early", dates=["1993-12-01", "1994-02-01"])]
    items += [entity("Q2", "Late", article="Late", dates=["1994-12-01", "1995-02-01"])]
    with sites([], entities=items) as world:
        start(world, tmp_path, ["wikidata"], first_year=1994, last_year=1996)
    assert set(films_of(tmp_path)) == {"Late"}


def test_wikidata_gives_the_films_with_most_articles(tmp_path: Path) -> None:
    titles = {n: f"Film {n}" for n in range(1, 30)}
    items = [
        entity(f"Q{n}", title, article=title, dates=[str(1994 + n % 3)], sitelinks=1 + n) for n, title in titles.items()
    ]
    with sites([], entities=items) as world:
        start(world, tmp_path, ["wikidata"], films=7)
    assert list(films_of(tmp_path)) == [f"Film {n}" for n in range(29, 22, -1)]


def test_languages_and_countries_choose_films_of_wikidata(tmp_path: Path) -> None:
    vocabulary = [item("Q150", "French", {"P218": ["fr"]}, {}, 1), item("Q188", "German", {"P218": ["de"]}, {}, 1)]
    vocabulary += [item("Q142", "France", {"P297": ["FR"]}, {}, 1)]
    both = {"languages": ["Q150"], "countries": ["Q142"]}
    kinds: list[dict[str, list[str]]] = [both, {"languages": ["Q150"]}, {"languages": ["Q188"]}, {}]
    items = [
        entity(f"Q{n}", f"Film {n}", article=f"Film {n}", dates=["1995"], languages=kind.get("languages", []),
               countries=kind.get("countries", []))
        for n, kind in enumerate(kinds, start=1)
    ]  # fmt: skip
    with sites([], entities=[*items, *vocabulary]) as world:
        start(world, tmp_path, ["wikidata"], languages=["fr"])
        start(world, tmp_path, ["wikidata"], languages=["fr", "de"], run=2)
        start(world, tmp_path, ["wikidata"], languages=["fr"], countries=["FR"], run=3)
    found = [set(films_of(tmp_path, run)) for run in (1, 2, 3)]
    assert found == [{"Film 1", "Film 2"}, {"Film 1", "Film 2", "Film 3"}, {"Film 1"}]


def test_languages_choose_films_of_tmdb(world: Sites, tmp_path: Path) -> None:
    start(world, tmp_path, ["tmdb"], languages=["fr"])
    assert set(films_of(tmp_path)) == {film["title"] for film in FILMS if film["original_language"] == "fr"}


def test_films_that_are_not_there_are_no_catalogue(world: Sites, tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match=r"no such film: widen crawl\.first_year"):
        start(world, tmp_path, ["tmdb"], first_year=1890, last_year=1891)


# What is written


@pytest.mark.parametrize("sources", [["wikipedia"], ["wikidata"], ["tmdb"], ALL])
def test_the_attribution_names_each_source_and_no_other(world: Sites, tmp_path: Path, sources: list[str]) -> None:
    start(world, tmp_path, sources, films=5)
    text = (tmp_path / "catalogue-1/ATTRIBUTION.md").read_text()
    phrases = {"wikipedia": "CC BY-SA 4.0", "wikidata": "CC0 1.0", "tmdb": "not endorsed, certified, or otherwise"}
    assert {source for source, phrase in phrases.items() if phrase in text} == set(sources)


def test_a_film_of_another_shape_is_set_aside_with_its_field(tmp_path: Path) -> None:
    broken = FILMS[3]["id"]
    with sites(FILMS, extra={broken: {"genres": "none"}}) as world:
        counts = start(world, tmp_path, ["tmdb"])
    (row,) = rows(tmp_path / "catalogue-1/set_aside.jsonl")
    assert row["where"] == f"tmdb {broken}"
    assert row["reason"].startswith("genres: ")
    assert (counts["films"], counts["set_aside"], counts["set_aside_for"]) == (59, 1, {"genres": 1})
    assert FILMS[3]["title"] not in films_of(tmp_path)


def test_a_film_without_a_release_date_does_not_stop_the_crawl(tmp_path: Path) -> None:
    with sites(FILMS, extra={FILMS[3]["id"]: {"release_date": ""}}) as world:
        assert start(world, tmp_path, ["tmdb"])["films"] >= 59


def test_the_log_says_what_it_took_and_what_came(
    world: Sites, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        start(world, tmp_path, ALL)
    said = dict(re.findall(r"(Wikipedia|Wikidata|TMDB): (\d+) requests, [\d.]+ MB; \d+ s at its rate", caplog.text))
    assert {name.lower(): int(number) for name, number in said.items()} == {
        name: len(front.seen) for name, front in world.fronts.items()
    }
    assert re.search(r"crawled for \d+\.\d s; the rates allow no less than \d+\.\d s", caplog.text)
    assert "having: plot 60, synopsis " in caplog.text


def test_the_metrics_count_the_films_and_what_they_have(world: Sites, tmp_path: Path) -> None:
    counts, films = start(world, tmp_path, ALL), films_of(tmp_path).values()
    having = {field: sum(bool(getattr(film, field)) for film in films) for field in counts["having"]}
    assert counts["having"] == having
    assert counts["tags"] == sum(len(film.tags) for film in films)
    assert counts["films"] == len(films) == 60


# What is refused before any work


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"contact": " "}, r"crawl\.contact is empty"),
        ({"contact": "a\nb"}, r"crawl\.contact goes into an HTTP header"),
        ({"contact": "ä@example.org"}, r"crawl\.contact goes into an HTTP header"),
        ({"tmdb__accept_terms": False}, r"crawl\.tmdb\.accept_terms is false"),
        ({"sources": ["catalogue", "tmdb"]}, "catalogue stands alone"),
        ({"sources": ["wikipedia", "wikipedia"]}, r"crawl\.sources"),
        ({"first_year": 2000, "last_year": 1999}, r"crawl\.last_year = 1999 comes before crawl\.first_year = 2000"),
        ({"sources": ["wikipedia"], "languages": ["fr"]}, "need wikidata or tmdb"),
        ({"sources": ["wikipedia"], "countries": ["FR"]}, "need wikidata or tmdb"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(
    world: Sites, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(MotagsError, match=says) as refusal:
        crawl(tmp_path, crawl_params(**world.parameters | changes))
    assert "\n" not in str(refusal.value)
    assert world.seen == []
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("token", [None, "", "  ", "two words", "tökn"])
def test_a_missing_or_odd_token_is_refused(
    world: Sites, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.delenv(TOKEN)
    if token is not None:
        monkeypatch.setenv(TOKEN, token)
    with pytest.raises(MotagsError, match="the environment variable TMDB_TOKEN is") as refusal:
        start(world, tmp_path, ["tmdb"])
    assert token is None or not token.strip() or token not in str(refusal.value)
    assert world.seen == []


def test_no_token_is_needed_without_tmdb(world: Sites, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN)
    assert start(world, tmp_path, ["wikidata"], tmdb__accept_terms=False)["films"] == 60


@pytest.mark.parametrize("key", ["foo", "wikipedia.foo", "wikidata.foo", "tmdb.foo", "fetch.foo"])
def test_an_unknown_key_is_refused_by_its_name(tmp_path: Path, key: str) -> None:
    section = crawl_section()
    *folders, name = key.split(".")
    (section[folders[0]] if folders else section)[name] = 1
    with pytest.raises(MotagsError, match=re.escape(f"crawl.{key} is not a parameter")):
        checked(tmp_path, section)


def test_the_refusal_of_a_nested_key_says_what_its_section_takes(tmp_path: Path) -> None:
    section = crawl_section()
    section["wikipedia"]["foo"] = 1
    with pytest.raises(MotagsError, match=r"takes api, rate, categories, depth, dump"):
        checked(tmp_path, section)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"sources": []}, "crawl.sources"),
        ({"sources": ["imdb"]}, "crawl.sources.0"),
        ({"films": 0}, "crawl.films"),
        ({"languages": ["French language"]}, "crawl.languages.0"),
        ({"wikipedia__api": "file:///etc/passwd"}, "crawl.wikipedia.api"),
        ({"wikipedia__rate": 0.0}, "crawl.wikipedia.rate"),
        ({"wikipedia__categories": []}, "crawl.wikipedia.categories"),
        ({"wikipedia__depth": -1}, "crawl.wikipedia.depth"),
        ({"tmdb__keep_days": 0}, "crawl.tmdb.keep_days"),
        ({"fetch__tries": 0}, "crawl.fetch.tries"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_its_key(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(MotagsError, match=re.escape(key)):
        checked(tmp_path, crawl_section(**changes))


def checked(folder: Path, section: dict[str, Any]) -> CrawlParams:
    """Read a section as a stage does."""
    path = folder / "params.yaml"
    path.write_text(json.dumps({"crawl": section}), encoding="utf-8")
    params: CrawlParams = read_params(path, {"crawl": CrawlParams})["crawl"]
    return params


# Real pages, films and the real pipeline


@pytest.mark.slow
def test_the_real_articles_are_crawled_by_their_categories(tmp_path: Path) -> None:
    need_mediawiki()
    pages = real_pages()
    wanted = {page.title for page in pages if YEAR_FILMS.intersection(wikipedia.categories(page.text))}
    with MediaWiki(pages) as wiki, sites([], wiki=wiki.api) as world:
        counts = start(world, tmp_path, ["wikipedia"], first_year=1925, last_year=2023)
    films = list(read_films(tmp_path / "catalogue-1"))
    assert {film.ids["wikipedia"] for film in films} == wanted
    assert len(films) > 50
    assert counts["having"]["plot"] > 40


@pytest.mark.slow
def test_the_article_of_a_real_film_is_found_by_title_and_year(tmp_path: Path) -> None:
    need_mediawiki()
    with MediaWiki(real_pages()) as wiki, Tmdb(real_films()) as tmdb:
        params = {"tmdb__api": tmdb.api, "wikipedia__api": wiki.api, "first_year": 1989, "last_year": 1989}
        crawl(tmp_path, crawl_params(sources=["tmdb", "wikipedia"], films=30, **params))
    batman = films_of(tmp_path)["Batman"]
    assert batman.ids["wikipedia"] == "Batman (1989 film)"
    assert len((batman.plot or "").split()) > 300


@pytest.mark.slow
def test_the_stage_runs_under_dvc_with_changed_parameters(world: Sites, tmp_path: Path, make_project: Make) -> None:
    project = make_project(tmp_path / "project", 5)
    changes = {
        "sources": "[wikipedia,wikidata,tmdb]", "contact": "loopback@example.org", "first_year": "1994",
        "last_year": "1996", "tmdb.accept_terms": "true", "tmdb.rate": "1000.0", "wikipedia.rate": "1000.0",
        "wikidata.rate": "1000.0", **{name.replace("__", "."): value for name, value in world.parameters.items()},
    }  # fmt: skip
    options = [word for name, value in changes.items() for word in ("-S", f"crawl.{name}={value}")]
    done = project.run("dvc", "exp", "run", "dataset", *options)
    assert project.ran(done) == ["crawl", "dataset"]
    assert project.json("metrics/crawl.json")["films"] == 60
    assert project.json("metrics/dataset.json")["films"] == 60
    seen = len(world.seen)
    assert project.ran(project.run("dvc", "exp", "run", "dataset", *options, "-S", "crawl.films=30")) == [
        "crawl",
        "dataset",
    ]
    assert project.json("metrics/crawl.json")["films"] == 30
    assert len(world.seen) == seen
    kept = [file for file in project.root.rglob("*") if file.is_file() and ".git" not in file.parts]
    assert not [file for file in kept if BEARER.encode() in file.read_bytes()]
