"""TMDB: films by year with the most votes first, their overview, genres and keywords."""

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any

import requests
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from tmdbv3api import Discover, Movie, TMDb
from tmdbv3api.exceptions import TMDbException

from motags.films.catalogue import SetAside
from motags.sources.fetch import Failed, Gone, Site
from motags.sources.store import Record, Store, Table

TOKEN = "TMDB_TOKEN"  # noqa: S105, the name of the environment variable
TABLES = ("tmdb", "tmdb-lists")  # of the store: all that TMDB gave
LANGUAGE = "en-US"
MAX_PAGE = 500  # of discover; TMDB refuses later ones
PARTS = "keywords,external_ids,videos,credits"
WRITING = ("Screenplay", "Writer")  # jobs of those who wrote the script, as Wikidata's screenwriters did
ISO_CODES = {"XC": "CS", "XG": "DD", "cn": "yue"}  # TMDB's own codes: Czechoslovakia, East Germany, Cantonese
NO_LANGUAGE = "xx"
# tmdbv3api trusts what comes, and an odd answer ends in any of these
ODD = (TMDbException, RecursionError, KeyError, TypeError, ValueError, AttributeError)


def expire(store: Store, days: float) -> dict[str, int]:
    """Drop what TMDB gave longer ago, as its terms ask; how many films and lists, by table."""
    return {name: store[name].drop(timedelta(days=days)) for name in TABLES}


class Named(BaseModel):
    """A genre or keyword."""

    name: str


class Keywords(BaseModel):
    """The keywords of a film, one level down as TMDB gives them."""

    keywords: list[Named]


class ExternalIds(BaseModel):
    """The film's ids elsewhere."""

    imdb_id: str | None = None
    wikidata_id: str | None = None


class Video(BaseModel):
    """A trailer or clip on another site."""

    site: str
    key: str
    type: str


class Videos(BaseModel):
    """The videos of a film."""

    results: list[Video] = []


class Member(BaseModel):
    """Somebody of the cast or the crew."""

    name: str
    job: str | None = None


class Credits(BaseModel):
    """Cast (in the order of billing) and crew."""

    cast: list[Member] = []
    crew: list[Member] = []


class Country(BaseModel):
    """A country where a film was made."""

    iso_3166_1: str


def _empty_is_none(value: Any) -> Any:
    return value or None


def _null_is_none(value: Any) -> Any:
    return [] if value is None else value


class Details(BaseModel):
    """What we use of a film's details; everything else is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: int
    title: str
    overview: Annotated[str | None, BeforeValidator(_empty_is_none)] = None
    tagline: Annotated[str | None, BeforeValidator(_empty_is_none)] = None
    release_date: Annotated[
        Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")] | None, BeforeValidator(_empty_is_none)
    ] = None
    poster_path: Annotated[str | None, BeforeValidator(_empty_is_none)] = None
    imdb_id: Annotated[str | None, BeforeValidator(_empty_is_none)] = None
    genres: list[Named]
    keywords: Keywords
    external_ids: ExternalIds = ExternalIds()
    videos: Videos = Videos()
    credits: Credits = Credits()
    production_companies: Annotated[list[Named], BeforeValidator(_null_is_none)] = []
    production_countries: Annotated[list[Country], BeforeValidator(_null_is_none)] = []
    original_language: str | None = None
    runtime: Annotated[int | None, BeforeValidator(_empty_is_none)] = None

    @property
    def directors(self) -> list[str]:
        """Names of the directors."""
        return _names(member for member in self.credits.crew if member.job == "Director")

    @property
    def writers(self) -> list[str]:
        """Names of those who wrote the script."""
        return _names(member for member in self.credits.crew if member.job in WRITING)

    @property
    def cast(self) -> list[str]:
        """Names of the cast, in the order of billing."""
        return _names(self.credits.cast)

    @property
    def companies(self) -> list[str]:
        """Names of the production companies."""
        return _names(self.production_companies)

    @property
    def countries(self) -> list[str]:
        """Codes of the countries (ISO 3166-1) where the film was made."""
        codes = (country.iso_3166_1 for country in self.production_countries)
        return [ISO_CODES.get(code, code) for code in dict.fromkeys(codes) if code]

    @property
    def languages(self) -> list[str]:
        """Code of the language (ISO 639) of the original."""
        code = self.original_language
        return [ISO_CODES.get(code, code)] if code and code != NO_LANGUAGE else []

    @property
    def imdb(self) -> str | None:
        """The film's id at IMDb, which stands in two places."""
        return self.external_ids.imdb_id or self.imdb_id

    @property
    def year(self) -> int | None:
        """The year of the first release."""
        return int(self.release_date[:4]) if self.release_date else None


def _names(people: Iterable[Named | Member]) -> list[str]:
    return list(dict.fromkeys(name for person in people if (name := person.name.strip())))


class TmdbSite(Site):
    """A session with TMDB that keeps tmdbv3api from putting keys into addresses and from sleeping by itself."""

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Make a request politely."""
        response = super().request(method, re.sub(r"\bapi_key=[^&]*&?", "", url), **options)
        for header in ("X-RateLimit-Remaining", "X-RateLimit-Reset"):
            response.headers.pop(header, None)
        return response


class Tmdb:
    """TMDB's API by way of tmdbv3api, over our own polite session.

    Attributes:
        aside: the lists that could not be read to their end.

    Args:
        site: the session; it sends the token as a header.
        api: the address up to the version, https://api.themoviedb.org/3.
    """

    def __init__(self, site: TmdbSite, api: str) -> None:
        TMDb().cache = False  # it would go round the session, and keep failures
        TMDb().api_key = "in-the-header"  # tmdbv3api wants one; the session takes it out of every address
        TMDb().language = LANGUAGE
        self.site = site
        self.aside: list[SetAside] = []
        self._discover, self._movie = Discover(session=site), Movie(session=site)
        self._discover._base = self._movie._base = api.rstrip("/")

    def most_voted(
        self, lists: Table, years: Sequence[int], languages: Sequence[str], countries: Sequence[str]
    ) -> Iterator[int]:
        """Ids of films of some years, most votes first, asking for no more pages than are used.

        Args:
            lists: keeps the pages that were asked for.
            languages, countries: ISO 639-1 and 3166-1 codes; none for all.
        """
        filters = [(y, lang, country) for y in years for lang in languages or [""] for country in countries or [""]]
        streams = [self._listed(lists, *parts) for parts in filters]
        yielded_ids = set()
        for _, film in heapq.merge(*streams):
            if film not in yielded_ids:
                yielded_ids.add(film)
                yield film

    def details(self, film: str) -> Record:
        """The details of a film with its keywords, ids elsewhere, videos and credits (names and jobs alone)."""
        try:
            content = self._asked(lambda: self._movie.details(int(film), append_to_response=PARTS))
            return Record(film, content | {"credits": _short(content.get("credits") or {})})
        except Gone:
            return Record(film, gone="TMDB has it no longer")

    def _listed(self, lists: Table, year: int, language: str, country: str) -> Iterator[tuple[int, int]]:
        """(-votes, id) of the films of one list, which ends where a page brings nothing new."""
        previous_films: list[list[int]] = []
        page, pages = 1, 1
        while page <= pages:
            key = " ".join(filter(None, [str(year), language, country, f"page {page}"]))
            content = lists[key].content if key in lists else self._page(page, year, language, country)
            if page > 1 and content["films"] in ([], previous_films):
                reason = f"it brings no new film, although TMDB counts {pages} pages: the list ends before it"
                self.aside.append(SetAside(where=f"{lists.folder.name} {key}", reason=reason))
                return
            if key not in lists:
                lists.add([Record(key, content)])
            yield from ((-votes, film) for film, votes in content["films"])
            page, pages, previous_films = page + 1, min(content["pages"], MAX_PAGE), content["films"]

    def _page(self, page: int, year: int, language: str, country: str) -> dict[str, Any]:
        query = {
            "sort_by": "vote_count.desc", "include_adult": "false", "primary_release_year": year, "page": page,
            "with_original_language": language, "with_origin_country": country,
        }  # fmt: skip
        answer = self._asked(lambda: self._discover.discover_movies({k: v for k, v in query.items() if v}))
        with self.site.known_shape("a question for a list of films"):
            films = [[int(film["id"]), int(film.get("vote_count") or 0)] for film in answer["results"]]
            return {"pages": int(answer["total_pages"]), "films": films}

    def _asked(self, question: Any) -> dict[str, Any]:
        try:
            return dict(question()._json)  # tmdbv3api's objects show lists and dicts alike; this is what came
        except ODD as error:
            raise Failed(f"{self.site.name}: {str(error)[:200]}") from None


def _short(made_by: Any) -> Any:
    """Credits with what we use of them: a hundred people a film would fill the store; odd ones stay as they are."""
    try:
        cast = [{"name": member["name"]} for member in made_by.get("cast") or []]
        crew = [{"name": member["name"], "job": member["job"]} for member in made_by.get("crew") or []]
    except (AttributeError, KeyError, TypeError):
        return made_by
    return {"cast": cast, "crew": [member for member in crew if member["job"] in ("Director", *WRITING)]}
