"""The loopback servers of TMDB and Wikidata answer as the recordings of the real ones do."""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator
from rdflib.plugins.sparql import CUSTOM_EVALS

from servers.tmdb import (
    BEARER,
    OWN,
    REAL,
    Tmdb,
    document,
    film_qid,
    origin_country,
    real_films,
    recorded,
    small,
)
from servers.wikidata import Wikidata, entity, item, real_entities, redirect

needs_real = pytest.mark.skipif(
    not REAL.exists() and os.environ.get("CI") != "true", reason="the real data in ../shared/real is absent"
)
RESULTS = "application/sparql-results+json"
YEAR_QUERY = """SELECT DISTINCT ?film ?links WHERE {{ ?film wdt:P577 ?date ; wdt:P31/wdt:P279* wd:Q11424 ;
  wikibase:sitelinks ?links . ?article schema:about ?film ; schema:isPartOf <https://en.wikipedia.org/> . {more}
  FILTER(?date >= "{year}-01-01T00:00:00Z"^^xsd:dateTime && ?date < "{next}-01-01T00:00:00Z"^^xsd:dateTime)
}} ORDER BY DESC(?links) LIMIT 5595"""
IDS_QUERY = """SELECT ?film ?tmdb ?imdb WHERE { { VALUES ?tmdb {"603" "604"} ?film wdt:P4947 ?tmdb }
  UNION { VALUES ?imdb {"tt0133093"} ?film wdt:P345 ?imdb } }"""


@pytest.fixture
def own() -> Iterator[Tmdb]:
    with Tmdb(OWN) as server:
        yield server


@pytest.fixture(scope="module")
def real() -> Iterator[Tmdb]:
    with Tmdb(real_films()) as server:
        yield server


def ask(server: Tmdb, path: str, **headers: str) -> requests.Response:
    bearer = {"Authorization": f"Bearer {BEARER}"}
    return requests.get(server.api + path, headers=bearer | headers, timeout=10)


def titles(response: requests.Response) -> list[str]:
    return [film["title"] for film in response.json()["results"]]


def recording(path: str, **query: str) -> Any:
    return recorded()[path, frozenset(query.items())].body


def shape(value: object) -> object:
    """Names, and the kinds of the values, of a JSON value; of lists the first element's."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def nullable(schema: Any) -> Any:
    """The document's schema, with null allowed: it never says so, and the recordings have nulls."""
    if isinstance(schema, list):
        return [nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    open_type = {"type": [schema["type"], "null"]} if isinstance(schema.get("type"), str) else {}
    return {name: nullable(each) for name, each in schema.items()} | open_type


def misfits(path: str, body: object) -> list[str]:
    schema = document()["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return [error.message for error in Draft202012Validator(nullable(schema)).iter_errors(body)]


def test_discover_gives_the_films_of_a_year_with_most_votes_first(own: Tmdb) -> None:
    found = ask(own, "/discover/movie?primary_release_year=1994&sort_by=vote_count.desc").json()
    years = {film["release_date"][:4] for film in found["results"]}
    votes = [film["vote_count"] for film in found["results"]]
    assert years == {"1994"}
    assert votes == sorted(votes, reverse=True)
    assert (found["page"], found["total_pages"], found["total_results"]) == (1, 1, 5)


def test_discover_leaves_out_adult_films_unless_asked(own: Tmdb) -> None:
    adult = {film["title"] for film in OWN if film.get("adult")}
    assert adult
    assert adult.isdisjoint(titles(ask(own, "/discover/movie")))
    assert adult < set(titles(ask(own, "/discover/movie?include_adult=true")))


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("with_original_language=de|fr", lambda film: film["original_language"] in ("de", "fr")),
        ("with_origin_country=GB|FR", lambda film: set(origin_country(film)) & {"GB", "FR"}),
        ("vote_count.gte=800", lambda film: film["vote_count"] >= 800),
        (
            "primary_release_date.gte=1995-01-01&primary_release_date.lte=1995-06-30",
            lambda film: "1995-01-01" <= film["release_date"] <= "1995-06-30",
        ),
        ("with_genres=18,80", lambda film: {18, 80} <= {genre["id"] for genre in film["genres"]}),
    ],
)
def test_discover_filters(own: Tmdb, query: str, kept: Any) -> None:
    expected = {film["title"] for film in OWN if kept(film) and not film.get("adult")}
    assert 0 < len(expected) < len(OWN) - 1
    assert set(titles(ask(own, f"/discover/movie?{query}"))) == expected


def test_nothing_found_is_one_empty_page(own: Tmdb) -> None:
    found = ask(own, "/discover/movie?with_original_language=ja").json()
    assert found == {"page": 1, "results": [], "total_pages": 1, "total_results": 0}


@pytest.mark.parametrize("page", [0, 501])
def test_a_page_out_of_bounds_is_refused_with_code_22(own: Tmdb, page: int) -> None:
    answer = ask(own, f"/discover/movie?page={page}")
    assert (answer.status_code, answer.json()["status_code"]) == (400, 22)


def test_without_the_token_everything_is_refused(own: Tmdb) -> None:
    answer = requests.get(f"{own.api}/movie/9000001", timeout=10)
    assert (answer.status_code, answer.json()["status_code"], answer.json()["success"]) == (401, 7, False)
    own.bare_401 = True
    assert "success" not in ask(own, "/movie/9000001", Authorization="Bearer wrong").json()


def test_an_unknown_film_is_a_404_with_code_34(own: Tmdb) -> None:
    answer = ask(own, "/movie/31337?append_to_response=keywords")
    assert (answer.status_code, answer.json()["status_code"]) == (404, 34)


def test_parts_are_appended_and_have_addresses_of_their_own(own: Tmdb) -> None:
    film = OWN[0]
    body = ask(own, f"/movie/{film['id']}?append_to_response=keywords,external_ids,videos").json()
    assert body["keywords"] == {"keywords": film["keywords"]}
    assert body["external_ids"]["imdb_id"] == film["imdb_id"]
    assert body["videos"] == {"results": []}
    assert ask(own, f"/movie/{film['id']}/keywords").json() == {"id": film["id"], **body["keywords"]}


def test_extra_fields_lie_over_a_film() -> None:
    number = OWN[0]["id"]
    with Tmdb(OWN, extra={number: {"overview": None, "title": ..., "novelty": 1}}) as server:
        body = ask(server, f"/movie/{number}").json()
    assert body["overview"] is None
    assert body["novelty"] == 1
    assert "title" not in body


def test_an_unchanged_film_is_a_304(own: Tmdb) -> None:
    first = ask(own, "/movie/9000002")
    again = ask(own, "/movie/9000002", **{"If-None-Match": first.headers["ETag"]})
    other = ask(own, "/movie/9000003", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)


def test_gzip_is_sent_only_when_asked_for(own: Tmdb) -> None:
    zipped, plain = ask(own, "/movie/9000002"), ask(own, "/movie/9000002", **{"Accept-Encoding": "identity"})
    assert (zipped.headers.get("Content-Encoding"), plain.headers.get("Content-Encoding")) == ("gzip", None)
    assert zipped.json() == plain.json()


def test_a_connection_is_kept_for_many_requests(own: Tmdb) -> None:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {BEARER}"
        sockets = set()
        for film in OWN[:4]:
            with session.get(f"{own.api}/movie/{film['id']}", stream=True, timeout=10) as answer:
                sockets.add(answer.raw.connection.sock.getsockname())
                assert answer.json()["id"] == film["id"]
    assert len(sockets) == 1
    assert own.seen == [f"/3/movie/{film['id']}" for film in OWN[:4]]


def test_search_and_find_know_the_films(own: Tmdb) -> None:
    assert titles(ask(own, "/search/movie?query=gull%20rock&year=1994")) == ["The Keeper of Gull Rock"]
    assert titles(ask(own, "/search/movie?query=gull%20rock&year=1999")) == []
    found = ask(own, f"/find/{OWN[1]['imdb_id']}?external_source=imdb_id").json()["movie_results"]
    assert [film["title"] for film in found] == ["Copper Heart"]


def test_a_key_in_the_address_is_a_violation(own: Tmdb) -> None:
    assert ask(own, "/movie/9000001?api_key=k3y").status_code == 400
    assert len(own.violations) == 1
    assert "k3y" not in own.violations[0]


@needs_real
@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/discover/movie?year=soon", "'soon' is not of type 'integer'"),
        ("/discover/movie?sort_by=votes", "is not one of"),
        ("/discover/movie?primary_release_date.gte=1994-13-01", "is not a 'date'"),
        ("/discover/movie?include_adult=no", "is not of type 'boolean'"),
        ("/discover/movie?page=1&page=2", "page more than once"),
        ("/movie/9000001?colour=red", "no parameter colour"),
        ("/movie/tt0133093", "movie_id"),
        ("/movie/9000001?append_to_response=keywords,colours", "'colours'"),
        ("/find/tt0133093", "lacks the parameter external_source"),
        ("/films", "not in the OpenAPI document"),
    ],
)
def test_what_the_document_forbids_is_noted_and_refused(own: Tmdb, path: str, complaint: str) -> None:
    assert ask(own, path).status_code == 400
    assert len(own.violations) == 1
    assert complaint in own.violations[0]


@needs_real
def test_discover_has_the_shape_of_the_recording(real: Tmdb) -> None:
    body = ask(real, "/discover/movie?vote_count.gte=1000").json()
    expected = recording("/3/discover/movie", **{"vote_count.gte": "1000", "vote_average.gte": "2"})
    assert shape(body) == shape(expected)
    assert list(body["results"][0]) == list(expected["results"][0])
    assert misfits("/3/discover/movie", body) == misfits("/3/discover/movie", expected) == []


@needs_real
def test_a_film_has_the_shape_of_the_recording(real: Tmdb) -> None:
    body, expected = ask(real, "/movie/603").json(), recording("/3/movie/47964")
    assert body.keys() == expected.keys()
    assert misfits("/3/movie/{movie_id}", body) == misfits("/3/movie/{movie_id}", expected) == []
    wrong_in_kind = {
        name for name, kind in expected.items() if body[name] is not None and type(body[name]) is not type(kind)
    }
    assert wrong_in_kind == set()


@needs_real
def test_recorded_films_are_served_as_recorded(real: Tmdb) -> None:
    body = ask(real, "/movie/47964?append_to_response=keywords,videos&language=en-US").json()
    parts = {name: body.pop(name) for name in ("keywords", "videos")}
    assert body == recording("/3/movie/47964")
    for name, part in parts.items():
        assert part | {"id": 47964} == recording(f"/3/movie/47964/{name}")


@needs_real
@pytest.mark.parametrize("part", ["keywords", "external_ids", "videos", "images", "release_dates", "translations"])
def test_parts_have_the_names_of_the_recording(real: Tmdb, part: str) -> None:
    recorded_id = 335984 if part == "external_ids" else 47964
    body = ask(real, f"/movie/603/{part}").json()
    assert body.keys() == recording(f"/3/movie/{recorded_id}/{part}").keys()


@needs_real
@pytest.mark.parametrize(
    ("path", "status", "file"),
    [
        ("/movie/999999999", 404, "error-status-response.json"),
        ("/movie/1234567", 404, "error-status-response.json"),
        ("/discover/movie?page=501", 400, "error-status-400.json"),
    ],
)
def test_errors_are_the_recorded_ones(real: Tmdb, path: str, status: int, file: str) -> None:
    answer = ask(real, path)
    assert answer.status_code == status
    assert answer.json() == json.loads((REAL / "tmdb-recorded" / "swift-tmdb-json" / file).read_bytes())


@needs_real
def test_all_pages_together_hold_each_film_once(real: Tmdb) -> None:
    pages = [ask(real, f"/discover/movie?primary_release_year=1994&page={page}").json() for page in range(1, 9)]
    found = [film["id"] for page in pages for film in page["results"]]
    expected = {film["id"] for film in real_films() if film["release_date"].startswith("1994")}
    assert len(found) == len(expected) == pages[0]["total_results"]
    assert set(found) == expected
    assert pages[0]["total_pages"] == -(-len(expected) // 20)


@needs_real
def test_genres_and_configuration_are_recorded(real: Tmdb) -> None:
    assert ask(real, "/genre/movie/list").json() == recording("/3/genre/movie/list")
    assert ask(real, "/configuration").json() == recording("/3/configuration")


@needs_real
def test_small_gives_the_films_with_most_votes() -> None:
    votes = sorted((film["vote_count"] for film in real_films()), reverse=True)
    assert [film["vote_count"] for film in small(7)] == votes[:7]


@needs_real
def test_all_recordings_are_read() -> None:
    statuses = Counter(answer.status for answer in recorded().values())
    assert statuses == {200: 85, 404: 3}


# Wikidata

ITEMS = [
    entity("Q1001", "Gull Rock", tmdb=11, imdb="tt11", article="Gull Rock (film)", dates=["1994-03-02", "1995"]),
    entity("Q1002", "Copper", tmdb=12, article="Copper", dates=["1994"], kind="Q29168811", sitelinks=9, genres=["Q7"]),
    entity("Q1003", "No Article", tmdb=13, imdb="tt13", dates=["1994-05-06"], sitelinks=3),
    entity("Q1004", "Later", tmdb=14, article="Later", dates=["1995-01-01"], languages=["Q1860"], countries=["Q30"]),
    entity("Q1005", "A Song", article="A Song", dates=["1994-05-06"], kind="Q7366"),
    item("Q29168811", "animated feature film", {"P279": ["Q202866"]}, {}, 1),
    item("Q202866", "animated film", {"P279": ["Q11424"]}, {}, 1),
    item("Q1860", "English", {"P218": ["en"]}, {}, 1),
    item("Q30", "United States of America", {"P297": ["US"]}, {}, 1),
    redirect("Q2001", "Q1001"),
]


@pytest.fixture(scope="module")
def wiki() -> Iterator[Wikidata]:
    with Wikidata(ITEMS) as server:
        yield server


@pytest.fixture(scope="module")
def entities() -> list[dict[str, Any]]:
    return real_entities()


@pytest.fixture(scope="module")
def real_wiki(entities: list[dict[str, Any]]) -> Iterator[Wikidata]:
    with Wikidata(entities) as server:
        yield server


def call(server: Wikidata, **query: str) -> requests.Response:
    return requests.get(server.api, params={"action": "wbgetentities", "format": "json"} | query, timeout=10)


def select(server: Wikidata, query: str) -> list[dict[str, str]]:
    answer = requests.get(server.query, params={"query": query}, headers={"Accept": RESULTS}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith(RESULTS)
    return [{name: cell["value"] for name, cell in row.items()} for row in answer.json()["results"]["bindings"]]


def qids(rows: list[dict[str, str]]) -> list[str]:
    return [row["film"].rsplit("/", 1)[-1] for row in rows]


def year_query(year: int, more: str = "") -> str:
    return YEAR_QUERY.format(year=year, next=year + 1, more=more)


def test_only_what_is_asked_of_an_item_is_given(wiki: Wikidata) -> None:
    body = call(wiki, ids="Q1002", props="info|labels|sitelinks", languages="de|en", sitefilter="enwiki").json()
    shown = body["entities"]["Q1002"]
    assert body["success"] == 1
    assert list(shown["sitelinks"]) == ["enwiki"]
    assert shown["labels"]["en"]["value"] == "Copper"
    assert "claims" not in shown
    assert call(wiki, ids="Q1002", props="labels", languages="de").json()["entities"]["Q1002"]["labels"] == {}


def test_a_merged_item_is_given_under_the_id_that_was_asked_for(wiki: Wikidata) -> None:
    shown = call(wiki, ids="Q2001", props="info|claims").json()["entities"]["Q2001"]
    assert shown["id"] == "Q1001"
    assert shown["redirects"] == {"from": "Q2001", "to": "Q1001"}
    assert "missing" in call(wiki, ids="Q2001", redirects="no").json()["entities"]["Q2001"]


def test_an_unknown_item_is_missing_and_the_rest_is_given(wiki: Wikidata) -> None:
    found = call(wiki, ids="Q1001|Q999999", props="info").json()["entities"]
    assert found["Q999999"] == {"id": "Q999999", "missing": ""}
    assert found["Q1001"]["lastrevid"] == 1_000_000_000


@pytest.mark.parametrize("qid", ["X1", "Q0", "Q99999999999", "q"])
def test_a_malformed_id_fails_the_whole_request(wiki: Wikidata, qid: str) -> None:
    answer = call(wiki, ids=f"Q1001|{qid}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["id"]) == (200, "no-such-entity", qid)
    assert answer.headers["MediaWiki-API-Error"] == "no-such-entity"
    assert "entities" not in answer.json()


def test_more_than_fifty_ids_are_refused(wiki: Wikidata) -> None:
    fifty = "|".join(f"Q{number}" for number in range(1, 51))
    error = call(wiki, ids=f"{fifty}|Q51").json()["error"]
    assert (error["code"], error["parameter"], error["limit"]) == ("toomanyvalues", "ids", 50)
    assert len(call(wiki, ids=fifty).json()["entities"]) == 50


def test_items_are_found_by_their_article(wiki: Wikidata) -> None:
    found = call(wiki, sites="enwiki", titles="Copper|Nowhere", props="info").json()["entities"]
    assert found["Q1002"]["id"] == "Q1002"
    assert found["-1"] == {"site": "enwiki", "title": "Nowhere", "missing": ""}


def test_a_call_without_ids_and_an_unknown_action_are_errors(wiki: Wikidata) -> None:
    assert call(wiki).json()["error"]["code"] == "param-missing"
    assert call(wiki, action="wbsomething").json()["error"]["code"] == "badvalue"
    assert call(wiki, action="query", meta="siteinfo").json()["query"]["general"]["sitename"] == "Wikidata"


def test_without_format_json_the_answer_is_a_page(wiki: Wikidata) -> None:
    assert call(wiki, format="jsonfm", ids="Q1001").headers["Content-Type"].startswith("text/html")


def test_films_of_a_year_have_an_article_and_are_of_a_kind_of_film(wiki: Wikidata) -> None:
    rows = select(wiki, year_query(1994))
    assert qids(rows) == ["Q1002", "Q1001"]
    assert [row["links"] for row in rows] == ["9", "1"]
    assert qids(select(wiki, year_query(1995))) == ["Q1001", "Q1004"]


def test_films_are_narrowed_by_language_and_country(wiki: Wikidata) -> None:
    language = '?film wdt:P364/wdt:P218 ?language . VALUES ?language {"en" "fr"}'
    country = '?film wdt:P495/wdt:P297 ?country . VALUES ?country {"US"}'
    assert qids(select(wiki, year_query(1995, f"{language} {country}"))) == ["Q1004"]
    assert select(wiki, year_query(1995, country.replace("US", "FR"))) == []


def test_films_are_found_by_their_ids(wiki: Wikidata) -> None:
    query = IDS_QUERY.replace("603", "12").replace("604", "14").replace("tt0133093", "tt13")
    found = {(row["film"][-5:], row.get("tmdb"), row.get("imdb")) for row in select(wiki, query)}
    assert found == {("Q1002", "12", None), ("Q1004", "14", None), ("Q1003", None, "tt13")}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("?film wdt:P31 wd:Q11424 OPTIONAL { ?film wdt:P345 ?imdb } FILTER(!BOUND(?imdb))", ["Q1004"]),
        ("?film wdt:P31 wd:Q11424 FILTER NOT EXISTS { ?film wdt:P345 ?imdb }", ["Q1004"]),
        ("?film wdt:P4947 ?id . FILTER(?id IN ('11', '13'))", ["Q1001", "Q1003"]),
        ("{ ?film wdt:P4947 '11' } UNION { ?film wdt:P345 'tt13' }", ["Q1001", "Q1003"]),
        (
            "?film wdt:P577 ?date . FILTER(YEAR(?date) = 1995 || ?date < '1900-01-01T00:00:00Z'^^xsd:dateTime)",
            ["Q1001", "Q1004"],
        ),
        ("?film rdfs:label ?label . ?film rdfs:label ?label . FILTER(?label = 'Copper'@en)", ["Q1002"]),
        (
            "VALUES (?film ?id) { (wd:Q1001 UNDEF) (UNDEF '12') (wd:Q1003 '12') } ?film wdt:P4947 ?id",
            ["Q1001", "Q1002"],
        ),
        ("?film wdt:P4947 ?id MINUS { ?film wdt:P345 ?imdb }", ["Q1002", "Q1004"]),
        ("?film wdt:P4947 ?id { SELECT ?film { ?film wdt:P577 ?date } ORDER BY ?date LIMIT 1 }", ["Q1002"]),
    ],
)
def test_other_queries_are_evaluated_as_rdflib_alone_does(
    wiki: Wikidata, monkeypatch: pytest.MonkeyPatch, pattern: str, expected: list[str]
) -> None:
    query = f"SELECT ?film WHERE {{ {pattern} }}"
    found = sorted(qids(select(wiki, query)))
    assert sorted(set(found)) == expected
    for name in list(CUSTOM_EVALS):
        monkeypatch.delitem(CUSTOM_EVALS, name)
    assert sorted(qids(select(wiki, query))) == found


@pytest.mark.parametrize(
    "query", ["SELEC", "SELECT ?x { ?x foo:bar ?y }", "SELECT * { SERVICE wd:Q1 { ?x ?y ?z } }", ""]
)
def test_a_bad_query_is_a_400(wiki: Wikidata, query: str) -> None:
    assert requests.get(wiki.query, params={"query": query}, timeout=10).status_code == 400


def test_many_queries_at_once_are_all_answered(wiki: Wikidata) -> None:
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(qids(select(wiki, year_query(1994))))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["Q1002", "Q1001"]] * 8


@needs_real
def test_a_made_up_item_has_the_shape_of_a_real_one(entities: list[dict[str, Any]]) -> None:
    by_id = {each["id"]: each for each in entities}
    made, kept = by_id[film_qid(603)], by_id["Q2262932"]
    assert made.keys() == kept.keys()
    for claim in ("P31", "P345", "P577", "P136", "P364", "P495"):
        own, real_one = made["claims"][claim][0], kept["claims"][claim][0]
        assert own["mainsnak"].keys() == real_one["mainsnak"].keys() - {"hash"}
        assert shape(own["mainsnak"]["datavalue"]) == shape(real_one["mainsnak"]["datavalue"])
        assert own["mainsnak"]["datatype"] == real_one["mainsnak"]["datatype"]
    assert made["sitelinks"]["enwiki"].keys() == kept["sitelinks"]["enwiki"].keys()


@needs_real
@pytest.mark.parametrize("year", [1931, 1994, 2009])
def test_the_films_of_a_year_are_those_counted_by_hand(
    real_wiki: Wikidata, entities: list[dict[str, Any]], year: int
) -> None:
    expected = {}
    for each in entities:
        times = [claim["mainsnak"]["datavalue"]["value"]["time"] for claim in each["claims"].get("P577", [])]
        if "enwiki" in each["sitelinks"] and any(time.startswith(f"+{year}-") for time in times):
            expected[each["id"]] = len(each["sitelinks"])
    rows = select(real_wiki, year_query(year))
    assert dict(zip(qids(rows), (int(row["links"]) for row in rows), strict=True)) == expected
    assert [int(row["links"]) for row in rows] == sorted(expected.values(), reverse=True)


@needs_real
def test_real_items_are_found_by_their_ids(real_wiki: Wikidata) -> None:
    found = {(row["film"].rsplit("/", 1)[-1], row.get("tmdb"), row.get("imdb")) for row in select(real_wiki, IDS_QUERY)}
    assert found == {
        (film_qid(603), "603", None),
        (film_qid(604), "604", None),
        (film_qid(603), None, "tt0133093"),
    }


@needs_real
def test_every_item_that_a_made_up_film_names_exists(entities: list[dict[str, Any]]) -> None:
    known = {each["id"] for each in entities}
    made = [each for each in entities if "P4947" in each["claims"]]
    named = {
        claim["mainsnak"]["datavalue"]["value"]["id"]
        for each in made
        for prop in ("P31", "P136", "P921", "P364", "P495")
        for claim in each["claims"].get(prop, [])
    }
    assert len(made) > 5000
    assert named <= known
    assert len(known) == len(entities)


@needs_real
def test_both_servers_name_the_same_item_of_a_film(real: Tmdb, real_wiki: Wikidata) -> None:
    qid = ask(real, "/movie/603/external_ids").json()["wikidata_id"]
    claims = call(real_wiki, ids=qid, props="claims").json()["entities"][qid]["claims"]
    assert claims["P4947"][0]["mainsnak"]["datavalue"]["value"] == "603"
