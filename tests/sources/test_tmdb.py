"""The client of TMDB, against a server that answers as the recordings do and checks each request."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from motags.sources.fetch import Failed, FetchParams
from motags.sources.store import Record, Table
from motags.sources.tmdb import MAX_PAGE, TOKEN, Details, Tmdb, TmdbSite
from servers import tmdb as loopback
from servers.crawling import crawl, crawl_params, many_films
from servers.mediawiki import skip_or_fail
from servers.tmdb import BEARER, OWN, REAL, Json, origin_country

POLICY = FetchParams(tries=2, backoff=0.0, max_wait=1.0, timeout=30.0, max_body_mb=16.0)
FILMS = many_films(130)
YEARS = range(1994, 1997)


def client(server: loopback.Tmdb) -> Tmdb:
    return Tmdb(TmdbSite("TMDB", 1e9, POLICY, "loopback@example.org", BEARER, TOKEN), server.api)


@pytest.fixture(scope="module")
def server() -> Iterator[loopback.Tmdb]:
    with loopback.Tmdb([*FILMS, *OWN]) as server:
        yield server


@pytest.fixture
def tmdb(server: loopback.Tmdb) -> Iterator[Tmdb]:
    server.seen.clear()
    tmdb = client(server)
    with tmdb.site:
        yield tmdb


@pytest.fixture
def lists(tmp_path: Path) -> Table:
    return Table(tmp_path / "tmdb-lists")


def year(film: Json) -> int:
    return int(film["release_date"][:4])


def most_voted(films: list[Json], n: int) -> list[int]:
    """What is asked for, found by looking at every film."""
    decent = [film for film in films if not film.get("adult")]
    return [film["id"] for film in sorted(decent, key=lambda film: (-film["vote_count"], film["id"]))][:n]


@pytest.mark.parametrize("n", [1, 20, 61, 100])
def test_the_films_with_most_votes_come_first_whatever_their_year(tmdb: Tmdb, lists: Table, n: int) -> None:
    assert list(islice(tmdb.most_voted(lists, YEARS, [], []), n)) == most_voted(FILMS, n)


def test_all_films_come_once_and_no_adult_ones(tmdb: Tmdb, lists: Table) -> None:
    found = list(tmdb.most_voted(lists, YEARS, [], []))
    assert sorted(found) == sorted(most_voted([*FILMS, *OWN], 1000))


def test_other_years_are_not_asked_for(tmdb: Tmdb, lists: Table, server: loopback.Tmdb) -> None:
    films = [film for film in [*FILMS, *OWN] if year(film) == 1995]
    assert set(tmdb.most_voted(lists, [1995], [], [])) == set(most_voted(films, 1000))
    assert all("primary_release_year=1995" in path for path in server.seen)


@pytest.mark.parametrize("n", [1, 19, 20, 55, 100])
def test_no_more_pages_are_asked_for_than_are_used(tmdb: Tmdb, lists: Table, server: loopback.Tmdb, n: int) -> None:
    found = set(islice(tmdb.most_voted(lists, YEARS, [], []), n))
    chosen = Counter(year(film) for film in FILMS if film["id"] in found)
    assert len(server.seen) <= sum(chosen[each] // loopback.PAGE_SIZE + 1 for each in YEARS)
    assert len(set(server.seen)) == len(server.seen) == len(lists)


def test_lists_that_are_there_are_not_asked_for_again(tmdb: Tmdb, lists: Table, server: loopback.Tmdb) -> None:
    first = list(islice(tmdb.most_voted(lists, YEARS, [], []), 70))
    server.seen.clear()
    assert list(islice(tmdb.most_voted(lists, YEARS, [], []), 70)) == first
    assert server.seen == []


def test_page_500_is_the_last_one_asked_for(tmdb: Tmdb, lists: Table, server: loopback.Tmdb) -> None:
    pages = range(1, MAX_PAGE + 1)
    lists.add([Record(f"1994 page {page}", {"pages": 58_326, "films": [[page, 1]]}) for page in pages])
    assert list(tmdb.most_voted(lists, [1994], [], [])) == list(pages)
    assert server.seen == []


def test_tmdb_answers_page_500_and_refuses_page_501(tmdb: Tmdb) -> None:
    assert tmdb._page(MAX_PAGE, 1994, "", "")["films"] == []
    with pytest.raises(Failed, match="400"):
        tmdb._page(MAX_PAGE + 1, 1994, "", "")


@pytest.mark.parametrize(
    ("languages", "countries"), [(["fr"], []), (["fr", "de"], []), ([], ["FR"]), ([], ["GB", "US"]), (["en"], ["GB"])]
)
def test_languages_and_countries_choose_films(
    tmdb: Tmdb, lists: Table, languages: list[str], countries: list[str]
) -> None:
    wanted = [
        film
        for film in [*FILMS, *OWN]
        if (not languages or film["original_language"] in languages)
        and (not countries or set(countries) & set(origin_country(film)))
    ]
    found = list(tmdb.most_voted(lists, YEARS, languages, countries))
    assert sorted(found) == sorted(most_voted(wanted, 1000))
    assert 0 < len(found) < len(FILMS)


def test_a_film_of_two_countries_comes_once(lists: Table) -> None:
    shared = FILMS[0] | {"origin_country": ["US", "FR"]}
    with loopback.Tmdb([shared]) as server:
        assert list(client(server).most_voted(lists, YEARS, [], ["US", "FR"])) == [shared["id"]]


def test_lists_of_other_filters_are_other_lists(tmdb: Tmdb, lists: Table) -> None:
    french = set(tmdb.most_voted(lists, YEARS, ["fr"], []))
    assert french < set(tmdb.most_voted(lists, YEARS, [], []))
    assert set(tmdb.most_voted(lists, YEARS, ["fr"], [])) == french


def test_details_hold_keywords_ids_and_videos_in_one_request(tmdb: Tmdb, server: loopback.Tmdb) -> None:
    film = OWN[0]
    details = Details.model_validate(tmdb.details(str(film["id"])).content)
    assert (details.title, details.year, details.overview) == (film["title"], 1994, film["overview"])
    assert [keyword.name for keyword in details.keywords.keywords] == [each["name"] for each in film["keywords"]]
    assert details.external_ids.wikidata_id == film["wikidata_id"]
    assert len(server.seen) == 1


def test_empty_fields_of_details_are_none(tmdb: Tmdb) -> None:
    details = Details.model_validate(tmdb.details(str(OWN[10]["id"])).content)
    assert (details.overview, details.tagline) == (None, None)
    assert Details.model_validate(tmdb.details(str(OWN[9]["id"])).content).imdb_id is None


@pytest.mark.parametrize("date", ["", None])
def test_a_film_without_a_release_date_has_no_year(tmdb: Tmdb, date: str | None) -> None:
    content = tmdb.details(str(OWN[0]["id"])).content | {"release_date": date}
    assert Details.model_validate(content).year is None


def test_a_film_that_tmdb_has_no_longer_is_gone(tmdb: Tmdb) -> None:
    assert tmdb.details("123456") == Record("123456", gone="TMDB has it no longer")


def test_recorded_details_of_the_live_api_are_read(tmdb: Tmdb) -> None:
    need_real()
    details = Details.model_validate(tmdb.details("47964").content)
    assert (details.id, details.title, details.year) == (47964, "A Good Day to Die Hard", 2013)
    assert details.genres
    assert details.keywords.keywords


def test_every_recorded_film_of_the_live_api_has_the_fields_that_we_read() -> None:
    need_real()
    films = [
        answer.body
        for (path, _), answer in loopback.recorded().items()
        if re.fullmatch(r"/3/movie/(tt)?\d+", path) and answer.status == 200
    ]
    assert len(films) == 5
    for film in films:
        assert isinstance(film, dict)
        details = Details.model_validate({"keywords": {"keywords": []}} | film)
        assert (details.title, details.overview) == (film["title"], film["overview"])
        assert str(details.year) == film["release_date"][:4]


def need_real() -> None:
    if not REAL.exists():
        skip_or_fail("the recordings in ../shared/real are absent")


def test_a_recorded_film_that_is_not_there_is_gone(tmdb: Tmdb) -> None:
    assert tmdb.details("999999999").gone == "TMDB has it no longer"


def test_the_key_is_in_no_address(tmdb: Tmdb, lists: Table, server: loopback.Tmdb) -> None:
    list(islice(tmdb.most_voted(lists, YEARS, ["en"], ["US"]), 30))
    tmdb.details(str(FILMS[0]["id"]))
    assert not [path for path in server.seen if "api_key" in path or BEARER in path]
    assert server.violations == []


def test_a_whole_crawl_asks_nothing_that_the_openapi_document_forbids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, BEARER)
    with loopback.Tmdb([*FILMS, *OWN]) as server:
        counts = crawl(tmp_path, crawl_params(tmdb__api=server.api, films=100))
        crawl(tmp_path, crawl_params(tmdb__api=server.api, languages=["fr", "de"], countries=["FR", "DE"]), run=2)
    assert counts["films"] == 100
    assert server.violations == []
    assert not [path for path in server.seen if "api_key" in path]


def test_a_list_in_an_unknown_shape_is_refused_in_a_sentence(lists: Table) -> None:
    class Odd(loopback.Tmdb):
        def answer(self, request: loopback.Request) -> loopback.Answer:  # noqa: ARG002
            return loopback.Answer(200, {"results": [{"no": "id"}], "total_pages": 1})

    with Odd([]) as server, pytest.raises(Failed, match="a list of films in an unknown shape"):
        list(client(server).most_voted(lists, YEARS, [], []))
