"""The client of Wikidata, against a server that really evaluates its queries."""

import json
import random
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler
from time import sleep
from typing import Any

import pytest

from motags.sources.facts import KEPT, Facts, facts, named_items
from motags.sources.fetch import Failed, FetchParams
from motags.sources.store import Record
from motags.sources.wikidata import Wikidata
from servers import wikidata as loopback
from servers.front import Front, answer
from servers.mediawiki import skip_or_fail
from servers.tmdb import REAL, Json
from servers.wikidata import entity, item, real_entities, redirect

POLICY = FetchParams(tries=2, backoff=0.0, max_wait=1.0, timeout=60.0, max_body_mb=16.0)
LANGUAGES = {"en": "Q1860", "fr": "Q150", "de": "Q188"}
COUNTRIES = {"US": "Q30", "FR": "Q142"}
FILM, GENRE, ANIMATED, BOOK = "Q11424", "Q202866", "Q29168811", "Q571"
KINDS = {FILM, GENRE, ANIMATED}
DATES = ["1993", "1994-05", "1994-12-31", "1995-01-01", "1995-07-08", "1996"]
VOCABULARY = [
    *(item(qid, code, {"P218": [code]}, {}, 1) for code, qid in LANGUAGES.items()),
    *(item(qid, code, {"P297": [code]}, {}, 1) for code, qid in COUNTRIES.items()),
    item(FILM, "film", {}, {}, 1),
    item(GENRE, "animated film", {"P279": [FILM]}, {}, 1),
    item(ANIMATED, "animated feature film", {"P279": [GENRE]}, {}, 1),
    item(BOOK, "book", {}, {}, 1),
]
Row = list[Any]
FILM_ROW = {"film": {"value": "http://www.wikidata.org/entity/Q1"}}


def some_films(n: int) -> list[Json]:
    """Items of all sorts: some of several years, languages or countries, some books, some without an article."""
    chance = random.Random(7)  # noqa: S311
    return [
        entity(
            f"Q{1000 + number}",
            f"Film {number}",
            tmdb=number,
            imdb=f"tt{number:07}",
            article=f"Film {number}" if chance.random() < 0.8 else None,
            dates=chance.sample(DATES, chance.choice((1, 1, 2))),
            languages=chance.sample(sorted(LANGUAGES.values()), chance.choice((0, 1, 2))),
            countries=chance.sample(sorted(COUNTRIES.values()), chance.choice((0, 1, 2))),
            sitelinks=chance.randint(1, 5),
            kind=chance.choice([*sorted(KINDS), BOOK]),
        )
        for number in range(n)
    ]


FILMS = some_films(120)
MERGED = redirect("Q5000", "Q1000")


def values(each: Json, claim: str) -> list[str]:
    found = [statement["mainsnak"]["datavalue"]["value"] for statement in each["claims"].get(claim, [])]
    return [value if isinstance(value, str) else value.get("id") or value["time"] for value in found]


def brute_force(
    entities: Iterable[Json], year: int, languages: Iterable[str] = (), countries: Iterable[str] = ()
) -> list[Row]:
    """The films of a year, found by looking at every item."""
    spoken, made_in = {LANGUAGES[code] for code in languages}, {COUNTRIES[code] for code in countries}
    found = [
        [each["id"], len(each["sitelinks"])]
        for each in entities
        if "enwiki" in each["sitelinks"]
        and KINDS.intersection(values(each, "P31"))
        and any(time.startswith(f"+{year}-") for time in values(each, "P577"))
        and (not spoken or spoken.intersection(values(each, "P364")))
        and (not made_in or made_in.intersection(values(each, "P495")))
    ]
    return sorted(found, key=lambda row: (-row[1], f"http://www.wikidata.org/entity/{row[0]}"))


def client(server: loopback.Wikidata) -> Wikidata:
    return Wikidata(server.api, server.query, 1e9, POLICY, "loopback@example.org")


@pytest.fixture(scope="module")
def server() -> Iterator[loopback.Wikidata]:
    with loopback.Wikidata([*FILMS, *VOCABULARY, MERGED]) as server:
        yield server


@pytest.fixture
def site(server: loopback.Wikidata) -> Iterator[Wikidata]:
    with client(server) as site:
        yield site


def kept(**changes: Any) -> dict[str, Any]:
    """An item as the store keeps it, with ranked values of claims: P577=[("+1994-00-00T00:00:00Z", "normal")]."""
    claims = {name: [list(pair) for pair in pairs] for name, pairs in changes.items()}
    return {"label": "A film", "article": None, "claims": claims}


def time(text: str, rank: str = "normal") -> tuple[dict[str, str], str]:
    return {"time": text}, rank


@pytest.mark.parametrize("year", range(1992, 1998))
@pytest.mark.parametrize(
    ("languages", "countries"),
    [((), ()), (("en",), ()), (("en", "fr"), ()), ((), ("FR",)), (("de",), ("US",)), (("fr", "de"), ("US", "FR"))],
)
def test_the_films_of_a_year_are_those_found_by_brute_force(
    site: Wikidata, year: int, languages: tuple[str, ...], countries: tuple[str, ...]
) -> None:
    assert site.films(year, languages, countries, 1000) == brute_force(FILMS, year, languages, countries)


def test_the_brute_force_finds_films_and_leaves_films_out() -> None:
    assert 10 < len(brute_force(FILMS, 1994)) < 60
    assert 0 < len(brute_force(FILMS, 1994, ("fr",), ("FR",))) < len(brute_force(FILMS, 1994, ("fr",)))


def test_the_limit_keeps_the_films_with_most_articles(site: Wikidata) -> None:
    assert site.films(1994, (), (), 5) == brute_force(FILMS, 1994)[:5]


def test_a_film_of_two_languages_and_dates_is_one_row(site: Wikidata) -> None:
    rows = site.films(1994, ("en", "fr", "de"), ("US", "FR"), 1000)
    assert len({film for film, _ in rows}) == len(rows)


def test_the_query_service_is_given_the_minute_that_it_takes() -> None:
    def late(handler: BaseHTTPRequestHandler) -> None:
        sleep(0.5)
        answer({"results": {"bindings": []}})(handler)

    hasty = POLICY.model_copy(update={"timeout": 0.1, "tries": 1})
    with Front(None, lambda _: late) as front, Wikidata(front.url, front.url, 1000.0, hasty, "x@example.org") as site:
        assert site.films(1994, (), (), 10) == []
        assert [record.content for record in site.having(["tmdb:1"])] == [[]]
        with pytest.raises(Failed, match="read timeout"):
            site.entities(["Q1"])


def test_a_code_that_is_no_code_does_not_reach_the_query(site: Wikidata) -> None:
    assert site.films(1994, ('en" } #', "fr"), (), 1000) == brute_force(FILMS, 1994, ("fr",))


def need_real() -> None:
    if not REAL.exists():
        skip_or_fail("the real data in ../shared/real is absent")


@pytest.mark.slow
def test_the_real_films_of_a_year_are_those_found_by_brute_force() -> None:
    need_real()
    entities = real_entities()
    known = {FILM, ANIMATED} | {each["id"] for each in entities if FILM in values(each, "P279")}
    with loopback.Wikidata(entities) as server, client(server) as site:
        rows = site.films(2009, (), (), 10_000)
    wanted = [
        each["id"]
        for each in entities
        if known.intersection(values(each, "P31")) and values(each, "P577")[0].startswith("+2009-")
    ]
    assert sorted(film for film, _ in rows) == sorted(wanted)
    assert len(rows) > 100


def test_items_are_found_by_both_kinds_of_ids(site: Wikidata) -> None:
    records = {record.key: record.content for record in site.having(["tmdb:3", "imdb:tt0000004", "tmdb:999"])}
    assert records == {"tmdb:3": ["Q1003"], "imdb:tt0000004": ["Q1004"], "tmdb:999": []}


def test_ids_of_one_kind_alone_are_found(site: Wikidata) -> None:
    assert [record.content for record in site.having(["imdb:tt0000005", "imdb:tt0000006"])] == [["Q1005"], ["Q1006"]]


def test_all_items_that_share_an_id_are_named() -> None:
    twins = [entity("Q20", "One", tmdb=5), entity("Q3", "Two", tmdb=5, imdb="tt5")]
    with loopback.Wikidata(twins) as server, client(server) as site:
        assert [record.content for record in site.having(["tmdb:5", "imdb:tt5"])] == [["Q20", "Q3"], ["Q3"]]


def test_an_id_with_quotes_finds_nothing_and_breaks_nothing(site: Wikidata) -> None:
    records = site.having(['imdb:tt1" } UNION { ?film ?p ?o', "imdb:tt0000004"])
    assert [record.content for record in records] == [[], ["Q1004"]]


def test_50_entities_take_one_request_and_come_in_their_order(site: Wikidata) -> None:
    ids = [each["id"] for each in FILMS[49::-1]]
    assert [record.key for record in site.entities(ids)] == ids
    assert site.requests_made == 1


def test_an_entity_is_kept_with_its_label_article_and_claims(site: Wikidata) -> None:
    (record,) = site.entities(["Q1003"])
    assert record.revision == FILMS[3]["lastrevid"]
    assert record.content["label"] == "Film 3"
    assert record.content["article"] == FILMS[3]["sitelinks"].get("enwiki", {}).get("title")
    assert record.content["claims"]["P4947"] == [["3", "normal"]]
    assert set(record.content["claims"]) <= set(KEPT)


def test_a_merged_item_leads_to_the_one_it_was_merged_into(site: Wikidata) -> None:
    merged, target = site.entities(["Q5000"])
    assert (merged.key, merged.content) == ("Q5000", {"redirect": "Q1000"})
    assert (target.key, target.content["label"]) == ("Q1000", "Film 0")


def test_a_missing_item_is_gone_and_takes_nothing_with_it(site: Wikidata) -> None:
    missing, found = site.entities(["Q777777", "Q1001"])
    assert missing == Record("Q777777", gone="no such item")
    assert found.content["label"] == "Film 1"


def test_more_items_than_the_api_takes_are_refused_not_lost(site: Wikidata) -> None:
    with pytest.raises(Failed, match="The limit is 50"):
        site.entities([each["id"] for each in FILMS[:51]])


@pytest.mark.parametrize("row", [{}, FILM_ROW, FILM_ROW | {"links": {"value": "many"}}, FILM_ROW | {"links": None}])
def test_an_answer_in_an_unknown_shape_is_a_failed_request(
    site: Wikidata, monkeypatch: pytest.MonkeyPatch, row: dict[str, Any]
) -> None:
    monkeypatch.setattr(site, "get_json", lambda *_: {"results": {"bindings": [row]}})
    with pytest.raises(Failed, match="answers a query in an unknown shape"):
        site.films(1999, [], [], 10)
    monkeypatch.setattr(site, "ask", lambda _: {"entities": None})
    with pytest.raises(Failed, match="answers a question for revisions in an unknown shape"):
        site.revisions(["Q1"])


def test_revisions_are_those_of_the_items(site: Wikidata) -> None:
    assert site.revisions(["Q1003", "Q777777"]) == {"Q1003": FILMS[3]["lastrevid"], "Q777777": None}


def test_preferred_values_hide_normal_ones_and_deprecated_ones_never_count() -> None:
    ranked = [("tt1", "normal"), ("tt2", "preferred"), ("tt3", "deprecated")]
    assert facts(kept(P345=ranked), {}).imdb_ids == ["tt2"]
    assert facts(kept(P345=[("tt1", "normal"), ("tt3", "deprecated")]), {}).imdb_ids == ["tt1"]
    assert facts(kept(P345=[("tt3", "deprecated")]), {}).imdb_ids == []


@pytest.mark.parametrize(
    ("times", "year"),
    [
        ([time("+1994-00-00T00:00:00Z")], 1994),
        ([time("+1994-05-00T00:00:00Z")], 1994),
        ([time("+1995-03-01T00:00:00Z"), time("+1994-12-31T00:00:00Z")], 1994),
        ([time("+1995-03-01T00:00:00Z", "preferred"), time("+1994-12-31T00:00:00Z")], 1995),
        ([time("-0044-00-00T00:00:00Z")], None),
        ([(None, "normal")], None),
        ([(None, "normal"), time("+1994-00-00T00:00:00Z")], 1994),
        ([], None),
    ],
)
def test_the_year_is_the_first_known_one(times: list[tuple[Any, str]], year: int | None) -> None:
    assert facts(kept(P577=times), {}).year == year


def test_values_that_are_unknown_or_none_say_nothing() -> None:
    unknown = {"snaktype": "somevalue", "property": "P136", "datatype": "wikibase-item"}
    none = {"snaktype": "novalue", "property": "P136", "datatype": "wikibase-item"}
    film = entity("Q1", "A film", genres=["Q130232"], dates=["1994"])
    film["claims"]["P136"] += [{"mainsnak": snak, "rank": "normal"} for snak in (unknown, none)]
    with loopback.Wikidata([film]) as server, client(server) as site:
        (record,) = site.entities(["Q1"])
    assert named_items(record.content) == ["Q130232"]
    assert facts(record.content, {"Q130232": "drama film"}).genres == ["drama film"]


def test_items_without_a_label_are_no_genres() -> None:
    film = kept(P136=[({"id": "Q1"}, "normal"), ({"id": "Q2"}, "normal")], P921=[({"id": "Q3"}, "normal")])
    assert named_items(film) == ["Q1", "Q2", "Q3"]
    found = facts(film, {"Q2": "drama film", "Q3": "war"})
    assert (found.genres, found.subjects) == (["drama film"], ["war"])


def test_an_item_without_a_label_article_or_claims_says_nothing() -> None:
    bare = entity("Q9", "x") | {"labels": {}, "claims": {}, "sitelinks": {}}
    with loopback.Wikidata([bare]) as server, client(server) as site:
        (record,) = site.entities(["Q9"])
    assert facts(record.content, {}) == Facts(None, None, [], [], None, [], [])


def test_the_real_film_is_read_as_it_stands() -> None:
    need_real()
    entities = [
        each
        for file in sorted((REAL / "wikidata").glob("Q*.json"))
        for each in json.loads(file.read_bytes())["entities"].values()
    ]
    with loopback.Wikidata(entities) as server, client(server) as site:
        film, other = site.entities(["Q2262932", "Q752285"])
        assert site.having(["imdb:tt0021750"])[0].content == ["Q2262932"]
    found = facts(film.content, dict.fromkeys(named_items(film.content), "a genre"))
    assert (found.title, found.year, found.imdb_ids) == ("City Streets", 1931, ["tt0021750"])
    assert (found.tmdb_ids, found.article) == ([], "City Streets (1931 film)")
    assert found.genres
    assert facts(other.content, {}).imdb_ids == []
