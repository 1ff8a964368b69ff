"""The articles of a crawl: which films Wikipedia has, from its categories or a dump, and which is a known film's."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from motags.films.catalogue import SetAside
from motags.sources import wikipedia
from motags.sources.dump import film_articles
from motags.sources.fill import Fill, resolved
from motags.sources.join import Link, titles_of
from motags.sources.mediawiki import BATCH, ILLEGAL, MediaWiki
from motags.sources.params import CrawlParams
from motags.sources.store import Record, Store
from motags.sources.tmdb import Details


class Articles:
    """What a crawl takes from Wikipedia.

    Args:
        fill, counts: the crawl's own.
    """

    def __init__(self, store: Store, params: CrawlParams, wiki: MediaWiki, fill: Fill, counts: Counter[str]) -> None:
        self.store, self.params, self.counts = store, params, counts
        self._wiki, self._fill = wiki, fill

    def read_dump(self, threads: int) -> None:
        """Take the film articles of a dump into the store, once."""
        if not self.params.wikipedia.dump:
            return
        path, dumps, table = Path(self.params.wikipedia.dump), self.store["dumps"], self.store["wikipedia"]
        key = f"{path.name} {path.stat().st_size if path.exists() else 0}"
        if key in dumps:
            return
        table.add_all(record for record in film_articles(path, threads) if table.is_older(record))
        dumps.add([Record(key, len(table))])

    def fill(self, titles: Iterable[str]) -> None:
        """Have the articles with these titles in the store; what a dump has not got is not asked for."""
        if not self.params.wikipedia.dump:
            legal = [title for title in titles if not ILLEGAL.search(title)]
            self._fill(self.store["wikipedia"], legal, self._wiki.pages, BATCH, self._wiki.revisions)

    def film(self, title: str) -> Record | None:
        """The article with this title, if it is of a film."""
        record = resolved(self.store["wikipedia"], title)
        return record if record and wikipedia.is_film(record.content["wikitext"]) else None

    def wanted(self, title: str) -> Link | None:
        """The film of this article, if it is one of the years that are crawled."""
        record = resolved(self.store["wikipedia"], title)
        if record and wikipedia.is_film(text := record.content["wikitext"]):
            if wikipedia.year(text) in self.params.years:
                return Link(page=record.key)
            self.counts["other_years"] += 1
        elif record:
            self.counts["not_films"] += 1
        return None

    def ranked(self) -> list[str]:
        """The titles of the categories (or of the dump) in an order that favours none."""
        titles = self.store["wikipedia"] if self.params.wikipedia.dump else self._titles()
        return sorted(titles, key=lambda title: hashlib.sha256(title.encode()).digest())

    def _titles(self) -> set[str]:
        """The titles in the categories and their subcategories."""
        params, table = self.params.wikipedia, self.store["wikipedia-categories"]
        names_of_level = [name.replace("{year}", str(year)) for name in params.categories for year in self.params.years]
        articles: set[str] = set()
        visited: set[str] = set()
        for _ in range(params.depth + 1):
            names_of_level = [name for name in dict.fromkeys(names_of_level) if name not in visited]
            visited.update(names_of_level)
            self._fill(table, names_of_level, self._members, needed=True)
            contents = [record.content for name in names_of_level if (record := table.get(name))]
            articles.update(title for titles, _ in contents for title in titles)
            names_of_level = [name for _, names in contents for name in names]
        return articles

    def _members(self, categories: Sequence[str]) -> list[Record]:
        return [Record(name, self._wiki.members(name)) for name in categories]

    def join_by_title(self, films: Mapping[Link, Details]) -> list[SetAside]:
        """For films of TMDB without an article: the names that Wikipedia would give it, if the year agrees.

        Returns:
            The films of which that is not certain.
        """
        names = {link: titles_of(film.title, film.year) for link, film in films.items() if film.year}
        near_year_pages: dict[Link, str] = {}
        disambiguations: dict[Link, str] = {}
        for round_ in range(max(map(len, names.values()), default=0)):
            titles = {link: tries[round_] for link, tries in names.items() if not link.page and len(tries) > round_}
            self.fill(titles.values())
            for link, title in titles.items():
                page = resolved(self.store["wikipedia"], title)
                text = page.content["wikitext"] if page else ""
                years_apart = abs((wikipedia.year(text) or 0) - (films[link].year or 0))
                if page and wikipedia.is_film(text) and years_apart == 0:
                    link.page, link.page_by = page.key, "title_and_year"
                elif page and wikipedia.is_film(text) and years_apart == 1:
                    near_year_pages.setdefault(link, page.key)
                elif page and wikipedia.is_disambiguation(text):
                    disambiguations.setdefault(link, page.key)
        ambiguous = []
        for link in films:
            if not link.page and link in near_year_pages:
                link.page, link.page_by = near_year_pages[link], "title_and_near_year"
            elif not link.page and link in disambiguations:
                reason = f"ambiguous: {disambiguations[link]!r} names several things"
                ambiguous.append(SetAside(where=link.where, reason=reason))
        return ambiguous
