"""One film, one row: which records of the sources are the same film, and the film that they make together."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from motags.films.catalogue import SetAside
from motags.films.film import Film, Origin, Tag
from motags.sources import wikipedia
from motags.sources.facts import Facts
from motags.sources.facts import facts as facts_of
from motags.sources.store import Record
from motags.sources.tmdb import Details

IMAGES = "https://image.tmdb.org/t/p/original"
# What joins two records, the surest first.
WAYS = ("tmdb_id", "imdb_id", "wikidata_id", "sitelink", "title_and_year", "title_and_near_year")
PLAYERS = {"YouTube": "https://www.youtube.com/watch?v=", "Vimeo": "https://vimeo.com/"}
FACTS = ("directors", "writers", "cast", "companies", "countries", "languages", "runtime")  # fields of a film
LICENCES = {"wikipedia": "CC BY-SA 4.0", "wikidata": "CC0 1.0", "tmdb": "TMDB API Terms of Use"}


@dataclass(eq=False)
class Link:
    """The records of one film: keys of the tables, and what joined the later ones to the first."""

    tmdb: str | None = None
    entity: str | None = None
    page: str | None = None
    entity_by: str = ""
    page_by: str = ""

    @property
    def where(self) -> str:
        """How to find the film at its first source."""
        if self.tmdb:
            return f"tmdb {self.tmdb}"
        return f"wikidata {self.entity}" if self.entity else f"wikipedia {self.page}"


def choose_entity(film: Details, candidates: Mapping[str, Facts]) -> tuple[str | None, str]:
    """The item that a TMDB film is, and by what; None and the reason where that is not certain.

    An item that bears the TMDB id counts first, then one that bears the IMDb id, then the one that TMDB
    names, unless it bears the id of another film.
    """
    by_tmdb = [item for item, facts in candidates.items() if str(film.id) in facts.tmdb_ids]
    imdb = film.imdb
    by_imdb = [item for item, facts in candidates.items() if imdb and imdb in facts.imdb_ids]
    named_item = film.external_ids.wikidata_id
    by_name = [
        item
        for item, facts in candidates.items()
        if item == named_item and not facts.tmdb_ids and not (imdb and facts.imdb_ids)
    ]
    for bearers, how in ((by_tmdb, "tmdb_id"), (by_imdb, "imdb_id"), (by_name, "wikidata_id")):
        if len(bearers) > 1:
            return None, f"ambiguous: {how} of {' and '.join(sorted(bearers))}"
        if bearers:
            return bearers[0], how
    return None, ""


def titles_of(title: str, year: int) -> list[str]:
    """Names that the English Wikipedia gives to the article of a film, the most telling first."""
    clean = re.sub(r"[#<>\[\]|{}_\x00-\x1f]+", " ", title).strip()
    years = [f"{clean} ({year + after} film)" for after in (0, 1, -1)]
    return [years[0], f"{clean} (film)", clean, *years[1:]] if clean else []


def without_rivals(links: Iterable[Link], field: str) -> list[SetAside]:
    """Take away the entity (or page) that several links claim, but from one with a better claim; list the others."""
    claims: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        if getattr(link, field):
            claims[getattr(link, field)].append(link)
    ambiguous = []
    for key, rivals in claims.items():
        best = min(WAYS.index(getattr(link, f"{field}_by")) for link in rivals)
        winners = [link for link in rivals if WAYS.index(getattr(link, f"{field}_by")) == best]
        for link in rivals if len(winners) > 1 else [link for link in rivals if link not in winners]:
            others = ", ".join(sorted(other.where for other in rivals if other is not link))
            ambiguous.append(SetAside(where=link.where, reason=f"ambiguous: {key!r} is claimed by {others} too"))
            setattr(link, field, None)
            setattr(link, f"{field}_by", "")
    return ambiguous


@dataclass(frozen=True)
class Parts:
    """What the sources say of one film; labels and codes are those of the items that its entity names."""

    tmdb: Record | None
    entity: Record | None
    page: Record | None
    labels: dict[str, str]
    wiki: str
    codes: dict[str, str] = field(default_factory=dict)


def film_of(parts: Parts) -> Film:
    """Fuse what the sources say of one film into one record.

    The title and year of TMDB count before those of Wikidata, and these before Wikipedia's.

    Raises:
        pydantic.ValidationError: a field that is needed is missing or has another type.
    """
    details = Details.model_validate(parts.tmdb.content) if parts.tmdb else None
    facts = facts_of(parts.entity.content, parts.labels, parts.codes) if parts.entity else None
    text: str = parts.page.content["wikitext"] if parts.page else ""
    offers = _offers(details, facts, text, parts)
    origins = {field: next((source for source, value in offer.items() if value), "") for field, offer in offers.items()}
    fields = {field: offers[field][source] for field, source in origins.items() if source}
    return Film.model_validate(
        _ids(parts, details, facts)
        | fields
        | {"tags": _tags(details, facts, text), "sources": _sources(parts)}
        | {"origins": {field: source for field, source in origins.items() if source}}
    )


def _offers(details: Details | None, facts: Facts | None, text: str, parts: Parts) -> dict[str, dict[str, Any]]:
    """What each source offers for a field, the one that counts first."""
    offers: dict[str, dict[str, Any]] = defaultdict(dict)
    if details:
        offers["title"]["tmdb"] = details.title
        offers["year"]["tmdb"] = details.year
        offers["synopsis"]["tmdb"] = details.overview
        offers["tagline"]["tmdb"] = details.tagline
        offers["posters"]["tmdb"] = [IMAGES + details.poster_path] if details.poster_path else []
        offers["trailers"]["tmdb"] = [
            PLAYERS[video.site] + video.key
            for video in details.videos.results
            if video.type == "Trailer" and video.site in PLAYERS
        ]
    if facts:
        offers["title"]["wikidata"] = facts.title
        offers["year"]["wikidata"] = facts.year
    for name, source in (("tmdb", details), ("wikidata", facts)):
        for fact in FACTS if source else ():
            offers[fact][name] = getattr(source, fact)
    if parts.page:
        file = wikipedia.poster(text)
        offers["title"]["wikipedia"] = re.sub(r" \([^()]*film\)$", "", parts.page.content["title"])
        offers["year"]["wikipedia"] = wikipedia.year(text)
        offers["plot"]["wikipedia"] = wikipedia.plot(text)
        offers["lead"]["wikipedia"] = wikipedia.lead(text)
        offers["posters"]["wikipedia"] = [f"{parts.wiki}?title=File:{quote(file.replace(' ', '_'))}"] if file else []
    return offers


def _ids(parts: Parts, details: Details | None, facts: Facts | None) -> dict[str, Any]:
    """The film's own id, after its first source, and its ids elsewhere."""
    ids: dict[str, list[str | None]] = defaultdict(list)
    if details:
        ids["tmdb"] += [str(details.id)]
        ids["imdb"] += [details.imdb]
    if parts.entity and facts:
        ids["wikidata"] += [parts.entity.key]
        ids["tmdb"] += facts.tmdb_ids
        ids["imdb"] += facts.imdb_ids
    if parts.page:
        content = parts.page.content
        ids["wikipedia"] += [content["title"]]
        ids["wikidata"] += [content.get("wikibase_item")]
        ids["imdb"] += [wikipedia.imdb_id(content["wikitext"])]
    ids_by_site = {site: next(filter(None, values)) for site, values in sorted(ids.items()) if any(values)}
    first = "tmdb" if details else "wikidata" if parts.entity else "wikipedia"
    number = ids_by_site[first] if first != "wikipedia" or not parts.page else parts.page.content["pageid"]
    return {"id": f"{first}:{number}", "ids": ids_by_site}


def _tags(details: Details | None, facts: Facts | None, text: str) -> list[Tag]:
    names: list[tuple[str, str, str]] = []
    if details:
        names += [(genre.name, "genre", "tmdb") for genre in details.genres]
        names += [(keyword.name, "keyword", "tmdb") for keyword in details.keywords.keywords]
    if facts:
        names += [(genre, "genre", "wikidata") for genre in facts.genres]
        names += [(subject, "keyword", "wikidata") for subject in facts.subjects]
    names += [(tag, "keyword", "wikipedia") for tag in wikipedia.content_tags(wikipedia.categories(text))]
    sources: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, kind, source in dict.fromkeys(names):
        sources[name, kind].append(source)
    return [Tag.model_validate({"name": n, "kind": k, "sources": s}) for (n, k), s in sources.items() if n.strip()]


def _sources(parts: Parts) -> dict[str, Origin]:
    page = f"{parts.wiki}?oldid={parts.page.revision}" if parts.page else ""
    item = f"https://www.wikidata.org/wiki/{parts.entity.key}" if parts.entity else ""
    film = f"https://www.themoviedb.org/movie/{parts.tmdb.key}" if parts.tmdb else ""
    records = {"wikipedia": (parts.page, page), "wikidata": (parts.entity, item), "tmdb": (parts.tmdb, film)}
    return {
        name: Origin(licence=LICENCES[name], url=url, revision=record.revision, fetched=record.fetched)
        for name, (record, url) in records.items()
        if record
    }


def joined_by(links: Iterable[Link]) -> dict[str, int]:
    """How many films were joined by what."""
    ways = Counter(way for link in links for way in (link.entity_by, link.page_by) if way)
    return {way: ways[way] for way in WAYS}
