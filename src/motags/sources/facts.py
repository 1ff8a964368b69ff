"""What a Wikidata item says of a film: ids, year, genres, subjects, people, companies, places, runtime."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from motags.sources.fetch import Failed

SITELINK = "enwiki"
IDS = {"tmdb": "P4947", "imdb": "P345"}
DATE, GENRE, SUBJECT = "P577", "P136", "P921"
NAMES = {"directors": "P57", "writers": "P58", "cast": "P161", "companies": "P272"}
COUNTRY, LANGUAGE, DURATION = "P495", "P364", "P2047"  # the language of the original
CODES = ("P297", "P218", "P220")  # of a country, ISO 3166-1; of a language, ISO 639-1, else 639-3
KEPT = (*IDS.values(), DATE, GENRE, SUBJECT, *NAMES.values(), COUNTRY, LANGUAGE, DURATION, *CODES)
UNITS = {"Q11574": 1 / 60, "Q7727": 1.0, "Q25235": 60.0}  # minutes in a second, a minute, an hour
ALL_LANGUAGES = "mul"  # Wikidata's code of a label that serves for every language

T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """What an entity says of a film: names, codes of countries (ISO 3166-1) and languages (ISO 639), minutes."""

    title: str | None
    year: int | None
    tmdb_ids: list[str]
    imdb_ids: list[str]
    article: str | None
    genres: list[str]
    subjects: list[str]
    directors: list[str] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)
    cast: list[str] = field(default_factory=list)
    companies: list[str] = field(default_factory=list)
    countries: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    runtime: int | None = None


def facts(entity: dict[str, Any], labels: Mapping[str, str], codes: Mapping[str, str] = MappingProxyType({})) -> Facts:
    """What an entity (as `trimmed` keeps it) says of a film.

    Args:
        labels: of the items in `labelled_items`.
        codes: of the items in `coded_items`.
    """
    claims = entity["claims"]
    years = [int(time[1:5]) for time in _texts(claims, DATE, "time") if re.match(r"\+\d{4}-", time)]
    return Facts(
        title=entity["label"],
        year=min(years, default=None),
        tmdb_ids=_texts(claims, IDS["tmdb"]),
        imdb_ids=_texts(claims, IDS["imdb"]),
        article=entity["article"],
        genres=_named(claims, GENRE, labels),
        subjects=_named(claims, SUBJECT, labels),
        countries=_named(claims, COUNTRY, codes),
        languages=_named(claims, LANGUAGE, codes),
        runtime=next(iter(_truthy(claims, DURATION, _minutes)), None),
        **{role: _named(claims, claim, labels) for role, claim in NAMES.items()},
    )


def named_items(entity: dict[str, Any]) -> list[str]:
    """The genres and main subjects that an entity names."""
    return [item for claim in (GENRE, SUBJECT) for item in _texts(entity["claims"], claim, "id")]


def named_people(entity: dict[str, Any]) -> list[str]:
    """The people and companies that an entity names: of these the labels are all that is used."""
    return [item for claim in NAMES.values() for item in _texts(entity["claims"], claim, "id")]


def coded_items(entity: dict[str, Any]) -> list[str]:
    """The countries and languages that an entity names, which stand for their codes."""
    return [item for claim in (COUNTRY, LANGUAGE) for item in _texts(entity["claims"], claim, "id")]


def code_of(entity: dict[str, Any]) -> str | None:
    """The ISO code of a country or language, as TMDB writes it too: US, fr; None where it has none."""
    return next((code for claim in CODES for code in _texts(entity["claims"], claim)), None)


def label_of(entity: dict[str, Any], languages: list[str]) -> str | None:
    """The label of an item as the API gives it, in the first language that has one, else the one for all languages.

    Raises:
        Failed: its labels have an unknown shape.
    """
    labels = entity.get("labels") or {}
    try:
        texts = [(labels.get(language) or {}).get("value") for language in [*languages, ALL_LANGUAGES]]
        return next((text.strip() for text in texts if text and text.strip()), None)
    except AttributeError as error:
        raise _unknown_shape(entity, error) from None


def trimmed(entity: dict[str, Any], languages: list[str]) -> dict[str, Any]:
    """Label, article, and [value, rank] of the claims that we use.

    Raises:
        Failed: the item has an unknown shape.
    """
    try:
        claims = {
            claim: [[it["mainsnak"].get("datavalue", {}).get("value"), it["rank"]] for it in entity["claims"][claim]]
            for claim in KEPT
            if claim in (entity.get("claims") or {})
        }
        article = ((entity.get("sitelinks") or {}).get(SITELINK) or {}).get("title")
        texts = [article, *(rank for statements in claims.values() for _, rank in statements)]
        if not all(isinstance(text, str | None) for text in texts):
            raise TypeError("a text is none")
    except (KeyError, TypeError, AttributeError) as error:
        raise _unknown_shape(entity, error) from None
    return {"label": label_of(entity, languages), "languages": languages, "article": article, "claims": claims}


def _unknown_shape(entity: dict[str, Any], error: Exception) -> Failed:
    return Failed(f"item {entity.get('id')} has an unknown shape ({type(error).__name__}: {error})")


def _named(claims: dict[str, list[Any]], claim: str, names: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(names[item] for item in _texts(claims, claim, "id") if item in names))


def _texts(claims: dict[str, list[Any]], claim: str, part: str | None = None) -> list[str]:
    def text(value: Any) -> str | None:
        value = value.get(part) if part and isinstance(value, dict) else value
        return value if isinstance(value, str) else None

    return _truthy(claims, claim, text)


def _truthy(claims: dict[str, list[Any]], claim: str, parse: Callable[[Any], T | None]) -> list[T]:
    """Values of a claim: the preferred ones where there are any, else the normal ones (Wikidata calls them truthy)."""
    ranked: dict[str, list[T]] = {"preferred": [], "normal": [], "deprecated": []}
    for value, rank in claims.get(claim, []):
        if (parsed := parse(value)) is not None:
            ranked.get(rank, []).append(parsed)
    return ranked["preferred"] or ranked["normal"]


def _minutes(value: Any) -> int | None:
    """{"amount": "+148", "unit": "http://www.wikidata.org/entity/Q7727"} as minutes; None for another unit or 0."""
    try:
        return round(float(value["amount"]) * UNITS[value["unit"].rsplit("/", 1)[-1]]) or None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
