"""Wikimedia's dumps: the film articles of FILE.xml.bz2, without the network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import rapidgzip
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from motags.errors import MotagsError
from motags.progress import Progress
from motags.sources import wikipedia
from motags.sources.store import Record

ARTICLE = "0"  # the namespace


def film_articles(path: Path, threads: int) -> Iterator[Record]:
    """The film articles of a dump of pages, as `MediaWiki.pages` gives them, in the dump's order.

    Args:
        path: pages-articles.xml or its .bz2 (multistream too); it is read as a stream.
        threads: that unpack; what comes is parsed meanwhile.

    Raises:
        MotagsError: the dump is missing, damaged or cut short.
    """
    try:
        with _unpacked(path, threads) as xml, Progress(path.name, None, "pages") as bar:
            for page in _pages(xml):
                bar.update()
                if record := _record(page):
                    yield record
    except FileNotFoundError:
        raise MotagsError(f"{path} is missing: crawl.wikipedia.dump names the dump to read") from None
    except (ParseError, DefusedXmlException, OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise MotagsError(f"{path} can't be read as a dump ({error}): download it again") from error


def _unpacked(path: Path, threads: int) -> Any:
    if path.suffix == ".bz2" and path.exists():
        return rapidgzip.IndexedBzip2File(str(path), parallelization=threads)
    return path.open("rb")


def _pages(xml: Any) -> Iterator[dict[str, str]]:
    """The fields of each page, the first of each name; memory is given back page by page."""
    root = None
    page: dict[str, str] = {}
    for event, element in iterparse(xml, events=("start", "end"), forbid_dtd=True):
        if root is None:
            root = element
            if not root.tag.endswith("mediawiki"):
                raise ValueError(f"it begins with <{root.tag}>, not with <mediawiki>")
        name = element.tag.rsplit("}", 1)[-1]
        if event == "start":
            if name == "page":
                page = {}
            continue
        if name == "redirect":
            page["redirect"] = element.get("title", "")
        elif name == "page":
            yield page
            root.clear()
        else:
            page.setdefault("revision_id" if name == "id" and "id" in page else name, element.text or "")


def _record(page: dict[str, str]) -> Record | None:
    text = page.get("text", "")
    if page.get("ns") != ARTICLE or "redirect" in page or not wikipedia.is_film(text):
        return None
    content = {
        "title": page["title"],
        "pageid": int(page["id"]),
        "timestamp": page.get("timestamp"),
        "wikibase_item": None,
        "wikitext": text,
    }
    return Record(page["title"], content, int(page["revision_id"]))
