"""Wikimedia's dumps: the film articles of FILE.xml.bz2 (or .gz, .xz), without the network."""

import gzip
import lzma
import zlib
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
WANTED = "crawl.wikipedia.dump wants pages-articles.xml, plain or as .bz2, .gz or .xz"
FOREIGN = {b"7z\xbc\xaf": "7z", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "Zstandard"}  # how such files begin
DAMAGES = (ParseError, DefusedXmlException, OSError, EOFError, RuntimeError, ValueError, KeyError, zlib.error)


def film_articles(path: Path, threads: int) -> Iterator[Record]:
    """The film articles of a dump of pages, as `MediaWiki.pages` gives them, in the dump's order.

    Args:
        path: pages-articles.xml, plain or packed as bz2 (multistream too), gzip or xz, which its first bytes tell; it
            is read as a stream.
        threads: that unpack bz2; what comes is parsed meanwhile.

    Raises:
        MotagsError: the dump is missing, no dump of pages, packed in another way, damaged or cut short.
    """
    try:
        with _unpacked(path, threads) as xml, Progress(path.name, None, "pages") as bar:
            for page in _pages(xml, str(path)):
                bar.update()
                if record := _record(page):
                    yield record
    except FileNotFoundError:
        raise MotagsError(f"{path} is missing: crawl.wikipedia.dump names the dump to read") from None
    except IsADirectoryError:
        raise MotagsError(f"{path} is a folder: {WANTED}") from None
    except (*DAMAGES, lzma.LZMAError) as error:
        raise MotagsError(f"{path} can't be read as a dump ({error}): download it again") from error


def _unpacked(path: Path, threads: int) -> Any:
    with path.open("rb") as file:
        start = file.read(6)
    if start[:4] in FOREIGN:
        raise MotagsError(f"{path} is packed as {FOREIGN[start[:4]]}, which is not read here: {WANTED}")
    if start.startswith(b"BZh"):
        return rapidgzip.IndexedBzip2File(str(path), parallelization=threads)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    return lzma.open(path) if start == b"\xfd7zXZ\x00" else path.open("rb")


def _pages(xml: Any, name: str) -> Iterator[dict[str, str]]:
    """The fields of each page, the first of each name; memory is given back page by page."""
    root = None
    page: dict[str, str] = {}
    for event, element in iterparse(xml, events=("start", "end"), forbid_dtd=True):
        if root is None:
            root = element
            if not root.tag.endswith("mediawiki"):
                raise MotagsError(f"{name} begins with <{root.tag}>, not with <mediawiki>: {WANTED}")
        field = element.tag.rsplit("}", 1)[-1]
        if event == "start":
            if field == "page":
                page = {}
            continue
        if field == "redirect":
            page["redirect"] = element.get("title", "")
        elif field == "page":
            yield page
            root.clear()
        else:
            page.setdefault("revision_id" if field == "id" and "id" in page else field, element.text or "")


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
