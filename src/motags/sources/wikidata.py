"""Wikidata: which films there are, which ids they have elsewhere, their genres and main subjects."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from motags.sources.fetch import Failed, FetchParams
from motags.sources.mediawiki import MediaWiki
from motags.sources.store import Record

WIKI = "https://en.wikipedia.org/"
SITELINK = "enwiki"
LABELS = "en"
QUERY_SECONDS = 65.0  # the query service itself gives a query up after 60
ITEM = re.compile(r"Q[1-9][0-9]*")
IDS = {"tmdb": "P4947", "imdb": "P345"}
DATE, GENRE, SUBJECT = "P577", "P136", "P921"
KEPT = (*IDS.values(), DATE, GENRE, SUBJECT)
PREFIXES = """
PREFIX wd: <http://www.wikidata.org/entity/>
PREFIX wdt: <http://www.wikidata.org/prop/direct/>
PREFIX wikibase: <http://wikiba.se/ontology#>
PREFIX schema: <http://schema.org/>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
"""


class Facts(NamedTuple):
    """What an entity says of a film."""

    title: str | None
    year: int | None
    tmdb_ids: list[str]
    imdb_ids: list[str]
    article: str | None
    genres: list[str]
    subjects: list[str]


class Wikidata(MediaWiki):
    """A session with Wikidata's api.php and its query service."""

    def __init__(self, api: str, query_service: str, rate: float, policy: FetchParams, contact: str) -> None:
        super().__init__("Wikidata", api, rate, policy, contact)
        self.query_service = query_service

    def films(self, year: int, languages: Sequence[str], countries: Sequence[str], limit: int) -> list[list[Any]]:
        """[id, number of wikis with an article] of the films of a year with an English article, most articles first.

        Args:
            languages: ISO 639-1 codes of the original language; none for all.
            countries: ISO 3166-1 codes of the country of origin; none for all.
        """
        lines = [
            "SELECT DISTINCT ?film ?links WHERE {",
            f"?film wdt:{DATE} ?date ; wdt:P31/wdt:P279* wd:Q11424 ; wikibase:sitelinks ?links .",
            f"FILTER(?date >= {_new_year(year)} && ?date < {_new_year(year + 1)})",
            f"?article schema:about ?film ; schema:isPartOf <{WIKI}> .",
            f"VALUES ?language {{ {_quoted(languages)} }} ?film wdt:P364/wdt:P218 ?language ." if languages else "",
            f"VALUES ?country {{ {_quoted(countries)} }} ?film wdt:P495/wdt:P297 ?country ." if countries else "",
            f"}} ORDER BY DESC(?links) ?film LIMIT {limit}",
        ]
        rows = self._select("\n".join(lines))
        with self.known_shape("a query"):
            return [[_item(row["film"]), int(row["links"])] for row in rows]

    def having(self, ids: Sequence[str]) -> list[Record]:
        """Which items bear these ids ("tmdb:603", "imdb:tt0133093"); content: a list of items."""
        items: dict[str, set[str]] = {key: set() for key in ids}
        parts = []
        for kind, claim in IDS.items():
            own = _quoted(key.split(":", 1)[1] for key in ids if key.startswith(f"{kind}:"))
            parts += [f"{{ VALUES ?{kind} {{ {own} }} ?film wdt:{claim} ?{kind} }}"] if own else []
        query = f"SELECT ?film ?tmdb ?imdb WHERE {{ {' UNION '.join(parts)} }}"
        rows = self._select(query) if parts else []
        with self.known_shape("a query"):
            for row in rows:
                for kind in IDS.keys() & row.keys():
                    items.get(f"{kind}:{row[kind]}", set()).add(_item(row["film"]))
        return [Record(key, sorted(items[key])) for key in ids]

    def entities(self, ids: Sequence[str]) -> list[Record]:
        """What we use of up to 50 items: label, claims, English article; a merged item gives two records.

        Raises:
            Failed: the answer has not got the shape that the API documents, or misses an item.
        """
        asked = {
            "action": "wbgetentities", "ids": "|".join(ids), "props": "info|labels|claims|sitelinks",
            "languages": LABELS, "sitefilter": SITELINK,
        }  # fmt: skip
        found = self.ask(asked).get("entities")
        if not isinstance(found, dict):
            raise Failed(f"{self.name} answers without entities")
        records: dict[str, Record] = {}
        for key in ids:
            if not isinstance(entity := found.get(key), dict):
                raise Failed(f"{self.name} has left {key} out of its answer")
            if "missing" in entity:
                records[key] = Record(key, gone="no such item")
                continue
            end = str(entity.get("id", key))
            if end != key:
                records[key] = Record(key, {"redirect": end})
            records[end] = Record(end, _trimmed(entity), entity.get("lastrevid"))
        return list(records.values())

    def revisions(self, titles: Sequence[str]) -> dict[str, int | None]:
        """The number of the last revision of up to 50 items; None where one is gone."""
        asked = {"action": "wbgetentities", "ids": "|".join(titles), "props": "info"}
        answer = self.ask(asked)
        with self.known_shape("a question for revisions"):
            return {key: entity.get("lastrevid") for key, entity in answer.get("entities", {}).items()}

    def _select(self, query: str) -> list[dict[str, str]]:
        answer = self.get_json(self.query_service, {"query": PREFIXES + query, "format": "json"}, QUERY_SECONDS)
        with self.known_shape("a query"):
            return [{name: str(cell["value"]) for name, cell in row.items()} for row in answer["results"]["bindings"]]


def facts(entity: dict[str, Any], labels: dict[str, str]) -> Facts:
    """What an entity (as `entities` keeps it) says, with labels for the items that it names."""
    claims = entity["claims"]
    years = [int(time[1:5]) for time in _values(claims, DATE, "time") if re.match(r"\+\d{4}-", time)]
    return Facts(
        title=entity["label"],
        year=min(years, default=None),
        tmdb_ids=_values(claims, IDS["tmdb"]),
        imdb_ids=_values(claims, IDS["imdb"]),
        article=entity["article"],
        genres=[labels[item] for item in _values(claims, GENRE, "id") if item in labels],
        subjects=[labels[item] for item in _values(claims, SUBJECT, "id") if item in labels],
    )


def named_items(entity: dict[str, Any]) -> list[str]:
    """The items that `facts` needs labels of."""
    return [item for claim in (GENRE, SUBJECT) for item in _values(entity["claims"], claim, "id")]


def _values(claims: dict[str, list[Any]], claim: str, part: str | None = None) -> list[str]:
    """Values of a claim: the preferred ones where there are any, else the normal ones (Wikidata calls them truthy)."""
    ranked: dict[str, list[str]] = {"preferred": [], "normal": [], "deprecated": []}
    for value, rank in claims.get(claim, []):
        text = value.get(part) if part and isinstance(value, dict) else value
        if isinstance(text, str):
            ranked.get(rank, []).append(text)
    return ranked["preferred"] or ranked["normal"]


def _trimmed(entity: dict[str, Any]) -> dict[str, Any]:
    """Label, article, and [value, rank] of the claims that we use."""
    try:
        claims = {
            claim: [[it["mainsnak"].get("datavalue", {}).get("value"), it["rank"]] for it in entity["claims"][claim]]
            for claim in KEPT
            if claim in (entity.get("claims") or {})
        }
        label = ((entity.get("labels") or {}).get(LABELS) or {}).get("value")
        article = ((entity.get("sitelinks") or {}).get(SITELINK) or {}).get("title")
        texts = [label, article, *(rank for statements in claims.values() for _, rank in statements)]
        if not all(isinstance(text, str | None) for text in texts):
            raise TypeError("a text is none")
        return {"label": label, "article": article, "claims": claims}
    except (KeyError, TypeError, AttributeError) as error:
        raise Failed(f"item {entity.get('id')} has an unknown shape ({type(error).__name__}: {error})") from None


def _item(address: str) -> str:
    """The id at the end of an item's address."""
    item = address.rsplit("/", 1)[-1]
    if not ITEM.fullmatch(item):
        raise Failed(f"{address[:80]!r} is no item")
    return item


def _new_year(year: int) -> str:
    return f'"{year}-01-01T00:00:00Z"^^xsd:dateTime'


def _quoted(values: Iterable[str]) -> str:
    """Literals of SPARQL; the values are codes and ids, everything else is refused."""
    return " ".join(f'"{value}"' for value in values if re.fullmatch(r"[A-Za-z0-9_-]+", value))
