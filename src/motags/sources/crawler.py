"""The crawl: which films, then what each source has of them, each source leading to the next."""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from itertools import islice
from typing import Self

from joblib import Parallel, delayed
from pydantic import ValidationError

from motags.films.catalogue import SetAside
from motags.films.film import Film, first_mistake
from motags.progress import Progress
from motags.sources.articles import Articles
from motags.sources.facts import code_of, coded_items, facts, named_items, named_people
from motags.sources.fetch import Site
from motags.sources.fill import Fetch, Fill, resolved
from motags.sources.join import Link, Parts, choose_entity, film_of, without_rivals
from motags.sources.mediawiki import BATCH, MediaWiki
from motags.sources.params import CrawlParams
from motags.sources.store import Record, Store, Table
from motags.sources.templates import counted
from motags.sources.tmdb import TOKEN, Details, Tmdb, TmdbSite
from motags.sources.wikidata import ITEM, Wikidata

PARSED_BY_ONE = 500  # articles; for fewer, a second process would take longer to start than it saves

log = logging.getLogger(__name__)


class Crawler:
    """One run over the sites.

    Attributes:
        links: the films, as keys of the store's tables.
        aside: what can't be used, and why.
        ambiguous: what may be the same film but is not certain, and so was not joined.
        counts: what else was met on the way.
        templates: of the articles, those that no table knows, by ("kept" or "lost", name); filled by `films`.
    """

    def __init__(self, store: Store, params: CrawlParams, threads: int) -> None:
        self.store, self.params, self.threads = store, params, threads
        self.links: list[Link] = []
        self.ambiguous: list[SetAside] = []
        self.counts: Counter[str] = Counter()
        self.templates: Counter[tuple[str, str]] = Counter()
        self._fill = Fill(timedelta(days=params.refresh_days))
        self.aside = self._fill.aside
        common = (params.fetch, params.contact)
        self._wiki = MediaWiki("Wikipedia", params.wikipedia.api, params.wikipedia.rate, *common)
        self._articles = Articles(store, params, self._wiki, self._fill, self.counts)
        wikidata = params.wikidata
        self._wikidata = Wikidata(wikidata.api, wikidata.query_service, wikidata.rate, *common, wikidata.languages)
        token = os.environ.get(TOKEN, "").strip() if "tmdb" in params.sources else ""
        self._tmdb = TmdbSite("TMDB", params.tmdb.rate, *common, token, TOKEN)
        self._sites: list[Site] = [self._wiki, self._wikidata, self._tmdb]
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for site in self._sites:
                stack.enter_context(site)
        self._say_what_it_took()

    def fetch(self) -> None:
        """Fetch what is missing or old, and join it into `links`."""
        sources = self.params.sources
        if "tmdb" in sources:
            self._films_of_tmdb()
        if "wikidata" in sources:
            self._entities_of_films() if "tmdb" in sources else self._films_of_wikidata()
            self._fill_labels()
        if "wikipedia" in sources:
            self._articles.read_dump(self.threads)
            self._films_of_wikipedia() if sources == ["wikipedia"] else self._pages_of_films()

    def films(self) -> Iterator[Film]:
        """Each link as a film, parsed by `threads` processes; what has not got a film's shape is set aside."""
        processes = min(self.threads, 1 + len(self.links) // PARSED_BY_ONE)
        jobs = (delayed(_film)(self._parts(link)) for link in self.links)
        results = Parallel(n_jobs=processes, return_as="generator", pre_dispatch="4*n_jobs")(jobs)
        with Progress("films", len(self.links), "films") as bar:
            for link, (film, templates) in zip(self.links, results, strict=True):
                bar.update()
                self.templates.update(templates)
                if isinstance(film, Film):
                    yield film
                else:
                    self.aside.append(SetAside(where=link.where, reason=film))

    def _films_of_tmdb(self) -> None:
        params, table = self.params, self.store["tmdb"]
        self.store["tmdb-lists"].drop(timedelta(days=params.refresh_days))
        tmdb = Tmdb(self._tmdb, params.tmdb.api)
        ids_by_votes = tmdb.most_voted(self.store["tmdb-lists"], params.years, params.languages, params.countries)
        ids = []
        with Progress("tmdb-lists", params.films, "films") as bar:
            for film in islice(ids_by_votes, params.films):
                ids.append(str(film))
                bar.update()
        self.aside += tmdb.aside
        records = [record for key in ids if (record := resolved(table, key))]
        table.forget(record.key for record in records if "credits" not in record.content)  # of an earlier version
        self._fill(table, ids, lambda keys: map(tmdb.details, keys))
        for key in ids:
            if record := resolved(table, key):
                self._link(Link(tmdb=key), record)
            self.counts["gone"] += key in table and record is None

    def _link(self, link: Link, record: Record) -> None:
        """Take up a film of TMDB, or set it aside where it lacks what is needed."""
        try:
            if str(Details.model_validate(record.content).id) == link.tmdb:
                self.links.append(link)
            else:
                self.aside.append(SetAside(where=link.where, reason="id: the details are those of another film"))
        except ValidationError as error:
            self.aside.append(SetAside(where=link.where, reason=first_mistake(error)))

    def _films_of_wikidata(self) -> None:
        params, lists = self.params, self.store["wikidata-lists"]
        filters = " ".join([*params.languages, "from", *params.countries, f"limit {params.films}"])
        years = {f"{year} in {filters}": year for year in params.years}

        def listed(keys: Sequence[str]) -> list[Record]:
            chosen_by = (params.languages, params.countries, params.films)
            return [Record(key, self._wikidata.films(years[key], *chosen_by)) for key in keys]

        self._fill(lists, years, listed, needed=True)
        links = {item: wikis for key in years if (record := lists.get(key)) for item, wikis in record.content}
        ranked = sorted(links, key=lambda item: (-links[item], int(item[1:])))
        self.links = self._choose(ranked, self._fill_entities, self._wanted_item)

    def _choose(
        self, ranked: list[str], fill: Callable[[list[str]], None], link_of: Callable[[str], Link | None]
    ) -> list[Link]:
        """The first of these that are wanted, as many as `crawl.films`, asking for no more than that takes."""
        links: dict[str, Link] = {}
        start = 0
        while start < len(ranked) and len(links) < self.params.films:
            batch = ranked[start : start + max(self.params.films - len(links), BATCH)]
            fill(batch)
            links |= {link.where: link for key in batch if (link := link_of(key))}
            start += len(batch)
        return list(links.values())[: self.params.films]

    def _wanted_item(self, item: str) -> Link | None:
        record = self._entity(item)
        if record and facts(record.content, {}).year in self.params.years:
            return Link(entity=record.key)
        self.counts["other_years" if record else "gone"] += 1  # it may have been released again in these years
        return None

    def _entities_of_films(self) -> None:
        """Find the item of each film of TMDB: the one that TMDB names, else those that bear its ids."""
        films = {link: self._details(link) for link in self.links}
        unnamed = [film for film in films.values() if not ITEM.fullmatch(film.external_ids.wikidata_id or "")]
        ids, bearers = [key for film in unnamed for key in _ids(film)], self.store["wikidata-ids"]
        self._fill(bearers, ids, self._wikidata.having, BATCH)
        candidates = {link: self._candidates(film, bearers) for link, film in films.items()}
        self._fill_entities([item for items in candidates.values() for item in items])
        for link, items in candidates.items():
            said = {record.key: facts(record.content, {}) for item in items if (record := self._entity(item))}
            item, how = choose_entity(films[link], said)
            link.entity, link.entity_by = item, how if item else ""
            if how and not item:
                self.ambiguous.append(SetAside(where=link.where, reason=how))
        self.ambiguous += without_rivals(self.links, "entity")

    def _candidates(self, film: Details, bearers: Table) -> list[str]:
        named = film.external_ids.wikidata_id or ""
        if ITEM.fullmatch(named):
            return [named]
        return sorted({item for key in _ids(film) if (record := bearers.get(key)) for item in record.content})

    def _fill_entities(self, items: Iterable[str]) -> None:
        self._fill_items("wikidata", list(items), self._wikidata.entities)

    def _fill_items(self, name: str, items: list[str], fetch: Fetch) -> None:
        """Have these items in a table, with labels in the languages of today."""
        table, languages = self.store[name], self._wikidata.languages
        records = [record for item in items if (record := resolved(table, item))]
        table.forget(record.key for record in records if record.content.get("languages") != languages)
        self._fill(table, items, fetch, BATCH, self._wikidata.revisions)

    def _fill_labels(self) -> None:
        """Have the items that those of the films name; count those without a label or code to call them by."""
        entities = [record for link in self.links if link.entity and (record := self._entity(link.entity))]
        names, places, people = (
            sorted({item for entity in entities for item in items(entity.content)})
            for items in (named_items, coded_items, named_people)
        )
        self._fill_entities(dict.fromkeys([*names, *places]))
        self._fill_items("wikidata-labels", people, self._wikidata.labels)
        labels = self._labels([*(entity.key for entity in entities), *names, *people])
        self.counts["without_label"] += len({*(entity.key for entity in entities), *names, *people}) - len(labels)
        self.counts["without_code"] += len(places) - len(self._codes(places))

    def _labels(self, items: Iterable[str]) -> dict[str, str]:
        """The labels of items, where they have any."""
        tables = [self.store["wikidata-labels"], self.store["wikidata"]]
        records = {item: record for table in tables for item in items if (record := resolved(table, item))}
        return {item: label for item, record in records.items() if (label := record.content["label"])}

    def _codes(self, items: Iterable[str]) -> dict[str, str]:
        """The ISO codes of countries and languages, where they have any."""
        records = {item: record for item in items if (record := self._entity(item))}
        return {item: code for item, record in records.items() if (code := code_of(record.content))}

    def _films_of_wikipedia(self) -> None:
        self.links = self._choose(self._articles.ranked(), self._articles.fill, self._articles.wanted)

    def _pages_of_films(self) -> None:
        """Find the article of each film: the item's sitelink, else by title and year."""
        for link in self.links:
            entity = self._entity(link.entity) if link.entity else None
            if entity and entity.content["article"]:
                link.page, link.page_by = entity.content["article"], "sitelink"
        self._articles.fill(link.page for link in self.links if link.page)
        for link in self.links:
            record = self._articles.film(link.page) if link.page else None
            self.counts["no_film_article"] += bool(link.page and not record)
            link.page, link.page_by = (record.key, link.page_by) if record else (None, "")
        without = {link: self._details(link) for link in self.links if link.tmdb and not link.page}
        self.ambiguous += self._articles.join_by_title(without)
        self.ambiguous += without_rivals(self.links, "page")

    def _details(self, link: Link) -> Details:
        record = self.store["tmdb"].get(link.tmdb or "")
        return Details.model_validate(record.content if record else None)

    def _entity(self, item: str) -> Record | None:
        return resolved(self.store["wikidata"], item)

    def _parts(self, link: Link) -> Parts:
        entity = self._entity(link.entity) if link.entity else None
        content = entity.content if entity else {"claims": {}}
        return Parts(
            tmdb=self.store["tmdb"].get(link.tmdb) if link.tmdb else None,
            entity=entity,
            page=resolved(self.store["wikipedia"], link.page) if link.page else None,
            labels=self._labels([*named_items(content), *named_people(content)]),
            codes=self._codes(coded_items(content)),
            wiki=self.params.wikipedia.api.rsplit("/", 1)[0] + "/index.php",
        )

    def _say_what_it_took(self) -> None:
        for site in self._sites:
            if site.requests_made:
                size, least = site.bytes_received / 2**20, site.least_seconds
                log.info("%s: %d requests, %.1f MB; %.0f s at its rate", site.name, site.requests_made, size, least)
        least = sum(site.least_seconds for site in self._sites)
        log.info("crawled for %.1f s; the rates allow no less than %.1f s", time.monotonic() - self._started, least)


def _ids(film: Details) -> list[str]:
    return [f"tmdb:{film.id}", *([f"imdb:{film.imdb}"] if film.imdb else [])]


def _film(parts: Parts) -> tuple[Film | str, Counter[tuple[str, str]]]:
    """The film of its parts, or why there is none, and the templates of its article that no table knows."""
    with counted() as templates:
        try:
            return film_of(parts), templates
        except ValidationError as error:
            return first_mistake(error), templates
