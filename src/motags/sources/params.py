"""Section `crawl` of params.yaml: which films, from where, how politely."""

import os
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from motags.errors import MotagsError
from motags.films.reading import ReadingRules
from motags.params import Params
from motags.sources.fetch import FetchParams
from motags.sources.tmdb import TOKEN

HOW = "set it to your TMDB API read access token (v4), from https://www.themoviedb.org/settings/api"

LOOPBACK = ("127.0.0.1", "localhost", "::1")

Address = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]
Rate = Annotated[float, Field(gt=0)]
Year = Annotated[int, Field(ge=1870, le=2100)]
Codes = list[Annotated[str, Field(pattern=r"^[A-Za-z-]{2,8}$")]]


class WikipediaParams(Params):
    """Section `crawl.wikipedia` of params.yaml."""

    api: Address
    rate: Rate
    categories: Annotated[list[str], Field(min_length=1)]
    depth: Annotated[int, Field(ge=0, le=10)]
    dump: str


class WikidataParams(Params):
    """Section `crawl.wikidata` of params.yaml."""

    api: Address
    query_service: Address
    rate: Rate
    languages: Annotated[list[Annotated[str, Field(pattern=r"^[a-z]{2,3}[a-z-]{0,20}$")]], Field(min_length=1)]


class TmdbParams(Params):
    """Section `crawl.tmdb` of params.yaml."""

    api: Address
    rate: Rate
    accept_terms: bool
    keep_days: Annotated[int, Field(ge=1, le=36_500)]


class ColumnParams(Params):
    """Section `crawl.columns` of params.yaml: names of columns, "" where they are known."""

    id: str
    title: str
    year: str
    text: str
    plot: str
    synopsis: str
    lead: str
    tagline: str
    tags: str


class CrawlParams(Params):
    """Section `crawl` of params.yaml."""

    sources: Annotated[list[Literal["catalogue", "wikipedia", "wikidata", "tmdb"]], Field(min_length=1)]
    catalogue: Annotated[str, Field(min_length=1)]
    max_set_aside: Annotated[float, Field(ge=0, le=1)]
    encoding: str
    delimiter: str
    separator: str
    columns: ColumnParams
    nothing: list[str]
    contact: str
    films: Annotated[int, Field(ge=1)]
    first_year: Year
    last_year: Year
    languages: Codes
    countries: Codes
    refresh_days: Annotated[float, Field(ge=0, le=36_500)]
    fetch: FetchParams
    wikipedia: WikipediaParams
    wikidata: WikidataParams
    tmdb: TmdbParams

    @property
    def reading_rules(self) -> ReadingRules:
        """How the catalogue is to be read."""
        columns = {field: (name,) for field, name in self.columns.model_dump().items() if name}
        return ReadingRules(self.encoding, self.delimiter, self.separator, columns, tuple(self.nothing))

    @property
    def years(self) -> range:
        """The years of the films."""
        return range(self.first_year, self.last_year + 1)


def refuse_contradictions(params: CrawlParams) -> None:
    """Raise MotagsError for parameters that are right one by one but not together."""
    sources = params.sources
    if sources == ["catalogue"]:
        return
    if "catalogue" in sources:
        raise MotagsError(f"crawl.sources = {sources}: catalogue stands alone; choose it or the others")
    if not params.contact.strip():
        raise MotagsError(
            "crawl.contact is empty: give the e-mail address or page of whoever runs this crawl; the sites ask for it"
        )
    if not (params.contact.isprintable() and params.contact.isascii()):
        raise MotagsError("crawl.contact goes into an HTTP header: write it in ASCII, on one line")
    if len(set(sources)) < len(sources):
        raise MotagsError(f"crawl.sources = {sources}: each once")
    if params.last_year < params.first_year:
        raise MotagsError(f"crawl.last_year = {params.last_year} comes before crawl.first_year = {params.first_year}")
    if sources == ["wikipedia"] and (params.languages or params.countries):
        raise MotagsError(
            "crawl.languages and crawl.countries need wikidata or tmdb in crawl.sources: name categories instead, "
            "as in crawl.wikipedia.categories=['French-language films']"
        )
    if "tmdb" in sources:
        _refuse_tmdb(params)


def _refuse_tmdb(params: CrawlParams) -> None:
    if not params.tmdb.accept_terms:
        raise MotagsError(
            "crawl.tmdb.accept_terms is false: read https://www.themoviedb.org/api-terms-of-use (docs/films.md says "
            "what they demand, as we read them), and set it to true if you accept them"
        )
    address = urlsplit(params.tmdb.api)
    if address.scheme == "http" and address.hostname not in LOOPBACK:
        raise MotagsError(f"crawl.tmdb.api = {params.tmdb.api} would carry the token unencrypted: use https")
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise MotagsError(f"the environment variable {TOKEN} is empty: {HOW}")
    if not (token.isprintable() and token.isascii()) or " " in token:
        raise MotagsError(f"the environment variable {TOKEN} is no token: {HOW}")
