"""People, companies, countries, languages and runtime, from Wikidata and TMDB, and labels in other languages."""

from pathlib import Path
from typing import Any

import pytest

from motags.films.catalogue import read_films
from motags.films.film import Film
from motags.sources.facts import facts, label_of
from motags.sources.fetch import Failed, FetchParams
from motags.sources.join import Parts, film_of
from motags.sources.store import Record, Store
from motags.sources.tmdb import TOKEN, Details
from motags.sources.wikidata import Wikidata
from servers import wikidata as loopback
from servers.crawling import Sites, crawl, crawl_params, items_of, many_films, sites
from servers.tmdb import BEARER, Json
from servers.wikidata import entity, item

POLICY = FetchParams(tries=2, backoff=0.0, max_wait=1.0, timeout=60.0, max_body_mb=16.0)
FILM = many_films(1)[0]
PEOPLE = {"Q901": "Ann Bo", "Q902": "Cy Di", "Q903": "Ed Fu", "Q904": "Gull Pictures"}
CLAIMS = {
    "P57": ["Q901"], "P58": ["Q902", "Q901"], "P161": ["Q903", "Q902"], "P272": ["Q904"], "P495": ["Q142", "Q30"],
    "P364": ["Q150", "Q9186"], "P2047": ["+98 Q7727"],
}  # fmt: skip
KINDS = [
    *(item(qid, name, {}, {}, 1) for qid, name in PEOPLE.items()),
    item("Q142", "France", {"P297": ["FR"]}, {}, 1),
    item("Q30", "United States", {"P297": ["US"]}, {}, 1),
    item("Q150", "French", {"P218": ["fr"], "P220": ["fra"]}, {}, 1),
    item("Q9186", "Cantonese", {"P220": ["yue"]}, {}, 1),
]
MADE = {
    "directors": ["Ann Bo"], "writers": ["Cy Di", "Ann Bo"], "cast": ["Ed Fu", "Cy Di"], "companies": ["Gull Pictures"],
    "countries": ["FR", "US"], "languages": ["fr", "yue"], "runtime": 98,
}  # fmt: skip
EDITED: dict[str, Any] = {
    "cast": ["Mo No", " Ed Fu ", "Mo No", ""],
    "crew": [["Pa Qu", "Director"], ["Ru Su", "Screenplay"], ["Pa Qu", "Writer"], ["Ti Um", "Editor"]],
    "companies": ["Keel Films"],
    "original_language": "cn",
    "origin_country": ["HK"],
    "runtime": 101,
}


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, BEARER)


def film_item(**more: list[str]) -> Json:
    return entity(
        FILM["wikidata_id"], FILM["title"], tmdb=FILM["id"], article="A film", dates=["1994"], more=CLAIMS | more
    )


def crawled(root: Path, world: Sites, *sources: str, run: int = 1, **changes: Any) -> tuple[Film, Json]:
    """The only film, and the metrics."""
    counts = crawl(root, crawl_params(sources=list(sources), **world.parameters | changes), run)
    (film,) = read_films(root / f"catalogue-{run}")
    return film, counts


def made(film: Film) -> Json:
    return {field: getattr(film, field) for field in MADE}


def test_wikidata_gives_people_companies_codes_and_minutes(tmp_path: Path) -> None:
    kind = item("Q11424", "film", {}, {}, 1)
    with sites([], entities=[film_item(), kind, *KINDS]) as world:
        film, counts = crawled(tmp_path, world, "wikidata")
        queries = [request.query for request in world.fronts["wikidata"].seen]
        assert made(film) == MADE
        assert set(MADE) <= {field for field, source in film.origins.items() if source == "wikidata"}
        labels = [query["ids"] for query in queries if query.get("props") == "info|labels"]
        assert labels == ["Q901|Q902|Q903|Q904"]  # one request, for nothing but labels
        before = len(queries)
        assert made(crawled(tmp_path, world, "wikidata", run=2)[0]) == MADE
        assert len(world.fronts["wikidata"].seen) == before  # all of it is in the store
    assert counts["met"] == {"without_label": 0, "without_code": 0}


def test_tmdb_gives_them_in_the_request_of_the_details_and_counts_before_wikidata(tmp_path: Path) -> None:
    with sites([FILM | EDITED], entities=[film_item(), *KINDS]) as world:
        film, _ = crawled(tmp_path, world, "tmdb", "wikidata")
        details = [request for request in world.fronts["tmdb"].seen if "/movie/" in request.path.split("?")[0]]
        assert world.tmdb.violations == []
    assert made(film) == {
        "directors": ["Pa Qu"], "writers": ["Ru Su", "Pa Qu"], "cast": ["Mo No", "Ed Fu"], "companies": ["Keel Films"],
        "countries": ["HK"], "languages": ["yue"], "runtime": 101,
    }  # fmt: skip
    assert {film.origins[field] for field in MADE} == {"tmdb"}
    assert sum("/discover/" not in request.path for request in details) == 1


def test_what_tmdb_does_not_say_comes_from_wikidata(tmp_path: Path) -> None:
    with sites([FILM | {"runtime": 0}], entities=[film_item(), *KINDS]) as world:
        film, _ = crawled(tmp_path, world, "tmdb", "wikidata")
    assert (film.directors, film.runtime) == (["Ann Bo"], 98)
    assert (film.origins["directors"], film.origins["runtime"]) == ("wikidata", "wikidata")
    assert film.origins["countries"] == "tmdb"


@pytest.mark.parametrize(
    "odd",
    [
        {"credits": ...}, {"credits": None}, {"credits": {}}, {"credits": {"cast": None, "crew": None}},
        {"production_companies": None}, {"production_companies": ...}, {"production_countries": None},
        {"runtime": None}, {"runtime": ...}, {"original_language": None}, {"original_language": ""},
        {"original_language": "xx"},
    ],
)  # fmt: skip
def test_facts_of_tmdb_that_are_absent_cost_no_film(tmp_path: Path, odd: Json) -> None:
    with sites([FILM], extra={FILM["id"]: odd}) as world:
        film, counts = crawled(tmp_path, world, "tmdb", max_set_aside=0.0)
    assert (film.directors, film.cast, counts["set_aside"]) == ([], [], 0)


@pytest.mark.parametrize(("odd", "field"), [({"cast": [1]}, "credits"), (["x"], "credits"), ({"crew": "x"}, "credits")])
def test_credits_in_an_unknown_shape_set_the_film_aside_and_are_named(odd: object, field: str, tmp_path: Path) -> None:
    films = many_films(2)
    with sites(films, extra={films[0]["id"]: {"credits": odd}}) as world:
        counts = crawl(tmp_path, crawl_params(sources=["tmdb"], **world.parameters, max_set_aside=0.5))
    assert counts["set_aside_for"] == {field: 1}


def test_records_of_an_earlier_version_are_fetched_anew(tmp_path: Path) -> None:
    with sites([FILM | EDITED], entities=[film_item(), *KINDS]) as world:
        crawled(tmp_path, world, "tmdb", "wikidata")
        store = Store(tmp_path / "raw")
        (tmp_path / "raw/SHA256SUMS").unlink()
        for name, field in (("tmdb", "credits"), ("wikidata", "languages")):
            old = list(store[name].values())
            store[name].add(
                Record(old_one.key, {k: v for k, v in old_one.content.items() if k != field}, old_one.revision)
                for old_one in old
            )
        store.close()
        film, _ = crawled(tmp_path, world, "tmdb", "wikidata", run=2)
    assert (film.cast, film.runtime) == (["Mo No", "Ed Fu"], 101)


@pytest.mark.parametrize(
    ("amount", "minutes"),
    [
        ("+98 Q7727", 98), ("+5880 Q11574", 98), ("+2 Q25235", 120), ("+0 Q7727", None), ("+98 Q1", None),
        ("+20 Q11574", None),
    ],
)  # fmt: skip
def test_a_duration_is_read_in_its_unit(amount: str, minutes: int | None) -> None:
    with loopback.Wikidata([entity("Q1", "A film", more={"P2047": [amount]})]) as server, client(server) as site:
        (record,) = site.entities(["Q1"])
    assert facts(record.content, {}).runtime == minutes


@pytest.mark.parametrize("value", [None, 7, "x", {}, {"amount": "x", "unit": "Q7727"}, {"amount": "+9", "unit": None}])
def test_a_duration_in_an_unknown_shape_says_nothing(value: object) -> None:
    content = {"label": "A film", "article": None, "claims": {"P2047": [[value, "normal"]]}}
    assert facts(content, {}).runtime is None


def client(server: loopback.Wikidata, *languages: str) -> Wikidata:
    return Wikidata(server.api, server.query, 1e9, POLICY, "loopback@example.org", languages or ("en", "mul"))


def labelled(qid: str, **labels: str) -> Json:
    return item(qid, "", {}, {}, 1) | {
        "labels": {code: {"language": code, "value": label} for code, label in labels.items()}
    }


LABELLED = [
    labelled("Q1", en="film", mul="Film", de="Spielfilm"), labelled("Q2", mul="Ann Bo"), labelled("Q3", de="Krimi"),
    labelled("Q4", fr="policier", de="Krimi"), labelled("Q5"), labelled("Q6", en=" ", mul="Cy Di"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("languages", "labels"),
    [
        ([], ["film", "Ann Bo", None, None, None, "Cy Di"]),
        (["en", "mul", "fr", "de"], ["film", "Ann Bo", "Krimi", "policier", None, "Cy Di"]),
        (["de"], ["Spielfilm", "Ann Bo", "Krimi", "Krimi", None, "Cy Di"]),
        (["mul"], ["Film", "Ann Bo", None, None, None, "Cy Di"]),
    ],
)
def test_a_label_is_in_the_first_language_that_has_one(languages: list[str], labels: list[str | None]) -> None:
    ids = [each["id"] for each in LABELLED]
    with loopback.Wikidata(LABELLED) as server, client(server, *languages) as site:
        assert [record.content["label"] for record in site.labels(ids)] == labels
        assert [record.content["label"] for record in site.entities(ids)] == labels


def test_what_has_no_label_or_code_is_left_out_and_counted_and_other_languages_are_fetched(tmp_path: Path) -> None:
    others = [each for each in KINDS if each["id"] not in ("Q903", "Q30")]
    nameless = [labelled("Q903", fr="Édouard"), item("Q30", "nowhere", {}, {}, 1), item("Q11424", "film", {}, {}, 1)]
    with sites([], entities=[film_item(P161=["Q903", "Q404", "Q902"]), *others, *nameless]) as world:
        film, counts = crawled(tmp_path, world, "wikidata")
        assert (film.cast, film.countries) == (["Cy Di"], ["FR"])
        assert counts["met"] == {"without_label": 2, "without_code": 1}
        french, counts = crawled(tmp_path, world, "wikidata", run=2, wikidata__languages=["en", "fr"])
    assert french.cast == ["Édouard", "Cy Di"]
    assert counts["met"] == {"without_label": 1, "without_code": 1}


@pytest.mark.parametrize("labels", ["x", [1], {"en": "film"}, {"en": {"value": 7}}])
def test_labels_in_an_unknown_shape_fail(labels: object) -> None:
    with pytest.raises(Failed, match="Q1 has an unknown shape"):
        label_of({"id": "Q1", "labels": labels}, ["en"])


def test_facts_say_the_same_whatever_source_gives_them() -> None:
    """A film from both sources holds each fact of the one that counts first."""
    parts = Parts(Record("1", tmdb_content(runtime=90)), Record("Q7", item_content()), None, PEOPLE, "", {"Q142": "FR"})
    film = film_of(parts)
    assert (film.runtime, film.directors, film.countries) == (90, ["Ann Bo"], ["FR"])
    assert film.origins["directors"] == "wikidata"


def tmdb_content(**more: Any) -> Json:
    return {"id": 1, "title": "A film", "genres": [], "keywords": {"keywords": []}} | more


def item_content() -> Json:
    claims = {"P57": [[{"id": "Q901"}, "normal"]], "P495": [[{"id": "Q142"}, "normal"], [{"id": "Q9"}, "normal"]]}
    return {"label": "A film", "article": None, "claims": claims}


def test_details_without_facts_are_read_as_before() -> None:
    details = Details.model_validate(tmdb_content())
    assert (details.directors, details.countries, details.languages, details.runtime) == ([], [], [], None)


def test_other_films_of_the_tests_have_no_people() -> None:
    assert items_of([FILM])[0]["claims"].keys().isdisjoint(("P57", "P161"))
