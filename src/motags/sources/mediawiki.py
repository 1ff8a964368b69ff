"""The Action API of a MediaWiki: batches, continuation, lag."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import requests
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from motags.errors import MotagsError
from motags.sources.fetch import Failed, FetchParams, Gone, Site, Stuck, TryAgain, retry_after
from motags.sources.store import Record, followed

BATCH = 50  # titles or ids a request, the API's limit for everyone
MAX_LAG = 5  # seconds that the site's databases may lag behind before we wait (API:Etiquette)
MAX_PORTIONS = 1000  # of one answer, whatever the site says of a next one
MOVES = ("normalized", "converted", "redirects")
ILLEGAL = re.compile(r"[#<>\[\]|{}\x00-\x1f\x7f]")  # in titles: they would ask for something else
BUSY = ("maxlag", "ratelimited", "readonly")  # whatever is asked for
PASSING = (*BUSY, "internal_api_error", "query-timeout")


class _Slot(BaseModel):
    content: str | None = None


class _Revision(BaseModel):
    revid: int
    timestamp: str
    slots: dict[str, _Slot] = {}


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    title: str
    pageid: int | None = None
    missing: bool = False
    invalid: bool = False
    revisions: list[_Revision] = []
    lastrevid: int | None = None
    pageprops: dict[str, Any] = Field(default_factory=dict)


class MediaWiki(Site):
    """A session with a wiki's api.php, which is at the address `api`."""

    def __init__(self, name: str, api: str, rate: float, policy: FetchParams, contact: str) -> None:
        super().__init__(name, rate, policy, contact)
        self.api = api

    def check(self, answer: dict[str, Any], response: requests.Response) -> None:
        """Raise for an error, which the API sends with status 200; a passing one is tried again."""
        error = answer.get("error")
        if error is None:
            return
        error = error if isinstance(error, dict) else {"code": error}
        code = str(error.get("code", ""))
        if code.startswith(PASSING):
            last = MotagsError if code.startswith(BUSY) else Failed
            raise TryAgain(f"it answers {code}", retry_after(response), last)
        raise Failed(f"{self.name} answers {code or 'an error'}: {str(error.get('info', ''))[:200]}")

    def ask(self, query: dict[str, Any]) -> dict[str, Any]:
        """One answer of api.php. Raises MotagsError where there is no API at the address."""
        try:
            return self.get_json(self.api, query | {"format": "json", "formatversion": 2, "maxlag": MAX_LAG})
        except Gone as error:
            raise MotagsError(f"{error}: there is no api.php at {self.api}; see section crawl of params.yaml") from None

    def portions(self, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The answer to a query, portion by portion as the API cuts it.

        Raises:
            Stuck: a portion does not lead to a new one. A page that is larger than the wiki's $wgAPIMaxResultSize
                has the API name the same place for ever.
        """
        places: list[dict[str, Any]] = [{}]
        while len(places) <= MAX_PORTIONS:
            answer = self.ask(query | places[-1])
            yield answer
            if "continue" not in answer:
                return
            place = answer["continue"]
            if not (isinstance(place, dict) and all(isinstance(value, str | int) for value in place.values())):
                raise Stuck(f"{self.name} sends a continuation in an unknown shape")
            if not any(place.values()):
                raise Stuck(f"{self.name} sends an empty continuation")
            if place in places:
                raise Stuck(f"{self.name} repeats a continuation: the next item is larger than it sends in one answer")
            places.append(place)
        raise Stuck(f"{self.name} divides an answer into more than {MAX_PORTIONS} portions")

    def pages(self, titles: Sequence[str]) -> list[Record]:
        """The wikitext of up to 50 pages, in the order asked for; a redirect gives two records, itself and its target.

        Content of a page: title, pageid, timestamp, wikitext, wikibase_item. Content of a redirect: redirect.

        Raises:
            Failed: the answer has not got the shape that the API documents, or misses a page.
        """
        query = {
            "action": "query", "prop": "revisions|pageprops", "ppprop": "wikibase_item", "redirects": 1,
            "rvprop": "ids|timestamp|content", "rvslots": "main", "titles": "|".join(titles),
        }  # fmt: skip
        pages, moves = self._merged(query)
        records: dict[str, Record] = {}
        for title in titles:
            target = followed(unicodedata.normalize("NFC", title), moves)
            page = pages.get(target)
            if page is None or not (page.revisions or page.missing or page.invalid):
                raise Failed(f"{self.name} has left {title!r} or its text out of an answer")
            if target != title:
                records[title] = Record(title, {"redirect": target})
            records[target] = _record(page)
        return list(records.values())

    def revisions(self, titles: Sequence[str]) -> dict[str, int | None]:
        """The number of the last revision of up to 50 pages that are no redirects; None where a page is gone."""
        pages, _ = self._merged({"action": "query", "prop": "info", "titles": "|".join(titles)})
        return {title: page.lastrevid for title, page in pages.items()}

    def members(self, category: str) -> tuple[list[str], list[str]]:
        """The articles and the subcategories (without "Category:") of a category, each sorted."""
        articles, categories = set(), set()
        query = {
            "action": "query", "list": "categorymembers", "cmtitle": f"Category:{category}", "cmlimit": 500,
            "cmtype": "page|subcat", "cmnamespace": "0|14", "cmprop": "title",
        }  # fmt: skip
        for answer in self.portions(query):
            with self.known_shape("a question for a category"):
                for member in _listed(answer, "categorymembers"):
                    if member["ns"] == 0:
                        articles.add(member["title"])
                    else:
                        categories.add(member["title"].split(":", 1)[1])
        return sorted(articles), sorted(categories)

    def _merged(self, query: dict[str, Any]) -> tuple[dict[str, _Page], dict[str, str]]:
        """Pages by title, put together from all portions, and where titles lead to."""
        pages: dict[str, dict[str, Any]] = {}
        moves: dict[str, str] = {}
        for answer in self.portions(query):
            for kind in MOVES:
                moves |= {move["from"]: move["to"] for move in _listed(answer, kind)}
            for page in _listed(answer, "interwiki"):
                pages[page["title"]] = {"title": page["title"], "missing": True}
            for page in _listed(answer, "pages"):
                pages.setdefault(page["title"], {}).update(page)
        try:
            return {title: _Page.model_validate(page) for title, page in pages.items()}, moves
        except ValidationError as error:
            raise Failed(f"{self.name} gives a page in an unknown shape: {error.errors()[0]['loc']}") from None


def _listed(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    query = answer.get("query") or {}
    items = query.get(name, []) if isinstance(query, dict) else None
    needed = ("from", "to") if name in MOVES else ("title",)
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and all(isinstance(item.get(key), str) for key in needed) for item in items
    ):
        raise Failed(f"an answer whose {name} have an unknown shape")
    return items


def _record(page: _Page) -> Record:
    if page.missing or page.invalid:
        return Record(page.title, gone="invalid title" if page.invalid else "no such page")
    revision = page.revisions[0]
    if "main" not in revision.slots or revision.slots["main"].content is None:
        return Record(page.title, gone="its text is hidden")
    if page.pageid is None:
        raise Failed(f"the page {page.title!r} has no pageid")
    content = {
        "title": page.title,
        "pageid": page.pageid,
        "timestamp": revision.timestamp,
        "wikibase_item": page.pageprops.get("wikibase_item"),
        "wikitext": revision.slots["main"].content,
    }
    return Record(page.title, content, revision.revid)
