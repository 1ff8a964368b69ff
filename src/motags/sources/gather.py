"""Gather films from a catalogue or from the sites, and write them as one catalogue."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from motags.errors import MotagsError
from motags.films.catalogue import (
    CRAWL_LIMIT,
    SetAside,
    read_films,
    refuse_if_bad,
    sorted_films,
    summary,
    warn_of,
    write_rows,
)
from motags.films.film import Film
from motags.films.reading import Reading
from motags.sources.crawler import Crawler
from motags.sources.join import joined_by
from motags.sources.params import CrawlParams, refuse_contradictions
from motags.sources.store import opened
from motags.sources.tmdb import expire

NOTICES = {
    "catalogue": "Films of {catalogue}: under the terms of whoever gave it.",
    "wikipedia": (
        "Plots, leads and categories: Wikipedia (https://en.wikipedia.org), by its contributors, under CC BY-SA 4.0 "
        "(https://creativecommons.org/licenses/by-sa/4.0/). Markup was removed. Each film's `sources.wikipedia.url` "
        "leads to the revision used; its history names the authors. Share what you derive under the same licence."
    ),
    "wikidata": (
        "Ids, genres, main subjects, people, companies, countries, languages and runtimes: Wikidata "
        "(https://www.wikidata.org), CC0 1.0."
    ),
    "tmdb": (
        "Overviews, taglines, genres, keywords, credits, companies, countries, languages, runtimes, addresses of "
        "posters and trailers: TMDB (https://www.themoviedb.org). "
        "This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise approved by TMDB. "
        "The API terms of use (https://www.themoviedb.org/api-terms-of-use) apply; nothing may be kept for longer than "
        "they allow (`motags expire`)."
    ),
}

log = logging.getLogger(__name__)


def gather(store_folder: Path, folder: Path, params: CrawlParams, threads: int) -> dict[str, Any]:
    """Write the films into `folder`: films.jsonl, set_aside.jsonl, ambiguous.jsonl, ATTRIBUTION.md.

    Args:
        store_folder: keeps what was fetched, so that a crawl that was stopped goes on there.
        folder: is there already, and empty.
        threads: processes that parse articles.

    Returns:
        Counts: films and what they have, what joined them, what was set aside and why.

    Raises:
        MotagsError: a parameter or the token is missing, a site refuses us or is down, too many films can't
            be used, another crawl runs, or the disk is full.
    """
    refuse_contradictions(params)
    counts: dict[str, Any] = {}
    with opened(store_folder) as store:
        expire(store, params.tmdb.keep_days)
        if params.sources == ["catalogue"]:
            films, aside, counts = _read(params)
            write_rows(folder / "films.jsonl", films)
            ambiguous = []
        else:
            with Crawler(store, params, threads) as crawler:
                crawler.fetch()
                written = write_rows(folder / "films.jsonl", crawler.films())
            warn_of(crawler.aside)
            refuse_if_bad(written, crawler.aside, params.max_set_aside)
            if not written:
                raise MotagsError(
                    "the sources have no such film: widen crawl.first_year, crawl.last_year or other filters"
                )
            aside, ambiguous = crawler.aside, crawler.ambiguous
            counts = {"joined_by": joined_by(crawler.links), "ambiguous": len(ambiguous), "met": dict(crawler.counts)}
            if "wikipedia" in params.sources:
                counts["templates"] = _templates(crawler.templates)
    write_rows(folder / "set_aside.jsonl", aside)
    write_rows(folder / "ambiguous.jsonl", ambiguous)
    notices = [NOTICES[source].format(catalogue=params.catalogue) for source in params.sources]
    (folder / "ATTRIBUTION.md").write_text("\n\n".join(["# Where this comes from", *notices]) + "\n", encoding="utf-8")
    counts |= summary(read_films(folder), aside)
    for name, value in counts.items():
        parts = ", ".join(f"{key} {part:,}" for key, part in value.items()) if isinstance(value, dict) else f"{value:,}"
        log.info("%s: %s", name.replace("_", " "), parts or "none")
    return counts


def _templates(counts: Counter[tuple[str, str]]) -> dict[str, int]:
    """How often an unknown template's first argument was kept, and how often nothing was; the log names them."""
    for outcome, meaning in (("kept", "of these their first argument was kept"), ("lost", "of these nothing was kept")):
        names = Counter({name: count for (end, name), count in counts.items() if end == outcome}).most_common(10)
        if names:
            log.info("unknown templates, %s: %s", meaning, ", ".join(f"{name} {count:,}" for name, count in names))
    return {end: sum(count for (other, _), count in counts.items() if other == end) for end in ("kept", "lost")}


def _read(params: CrawlParams) -> tuple[list[Film], list[SetAside], dict[str, Any]]:
    """The films of the catalogue, what was set aside, and how many cells were changed in which way."""
    reading = Reading(Path(params.catalogue), params.reading_rules)
    films, aside = sorted_films(reading, params.max_set_aside, CRAWL_LIMIT, lambda film, _: film)
    changed = {change: number for change, number in reading.counts.items() if number}
    return films, aside, {"changed": changed} if changed else {}
