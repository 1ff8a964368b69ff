"""Wikidata's API and query service: which films there are, which items bear an id, items and labels."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from motags.sources.facts import ALL_LANGUAGES, DATE, IDS, SITELINK, label_of, trimmed
from motags.sources.fetch import Failed, FetchParams
from motags.sources.mediawiki import MediaWiki
from motags.sources.store import Record

WIKI = "https://en.wikipedia.org/"
QUERY_SECONDS = 65.0  # the query service itself gives a query up after 60
ITEM = re.compile(r"Q[1-9][0-9]*")
PREFIXES = """
PREFIX wd: <http://www.wikidata.org/entity/>
PREFIX wdt: <http://www.wikidata.org/prop/direct/>
PREFIX wikibase: <http://wikiba.se/ontology#>
PREFIX schema: <http://schema.org/>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
"""


class Wikidata(MediaWiki):
    """A session with Wikidata's api.php and its query service.

    Attributes:
        languages: of labels, the first that an item has counts.
    """

    def __init__(
        self, api: str, query_service: str, rate: float, policy: FetchParams, contact: str,
        languages: Sequence[str] = ("en", ALL_LANGUAGES),
    ) -> None:  # fmt: skip
        super().__init__("Wikidata", api, rate, policy, contact)
        self.query_service, self.languages = query_service, languages

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
            values = _quoted(key.split(":", 1)[1] for key in ids if key.startswith(f"{kind}:"))
            parts += [f"{{ VALUES ?{kind} {{ {values} }} ?film wdt:{claim} ?{kind} }}"] if values else []
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
        return self._items(ids, "info|labels|claims|sitelinks", trimmed)

    def labels(self, ids: Sequence[str]) -> list[Record]:
        """The labels of up to 50 items and nothing else of them; a merged item gives two records. Raises Failed."""
        return self._items(
            ids, "info|labels", lambda item, languages: {"label": label_of(item, languages), "languages": languages}
        )

    def _items(
        self, ids: Sequence[str], props: str, extract: Callable[[dict[str, Any], list[str]], dict[str, Any]]
    ) -> list[Record]:
        query = {
            "action": "wbgetentities", "ids": "|".join(ids), "props": props,
            "languages": "|".join(dict.fromkeys([*self.languages, ALL_LANGUAGES])), "sitefilter": SITELINK,
        }  # fmt: skip
        items = self.ask(query).get("entities")
        if not isinstance(items, dict):
            raise Failed(f"{self.name} answers without entities")
        records: dict[str, Record] = {}
        for key in ids:
            if not isinstance(item := items.get(key), dict):
                raise Failed(f"{self.name} has left {key} out of its answer")
            if "missing" in item:
                records[key] = Record(key, gone="no such item")
                continue
            target = str(item.get("id", key))
            if target != key:
                records[key] = Record(key, {"redirect": target})
            records[target] = Record(target, extract(item, list(self.languages)), item.get("lastrevid"))
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
