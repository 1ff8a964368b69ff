"""Speed and memory of the crawl, on servers on loopback with the real films of ../shared/real.

    PYTHONPATH=tests python benchmarks/speed/crawl.py [--films 5595]

- parsing: articles a second (plot, lead, categories, year), beside mwparserfromhell's own `strip_code` of
  whole pages;
- dump: articles a second and peak memory of reading a dump, beside the standard library's bz2 and iterparse;
- crawl: the stage `crawl` with all three sites. With the rates off, beside a bare loop of `requests` over the
  same addresses (no parsing, no storing, no joining); then at rates that one can wait for, beside the time
  that they allow at least.

The wiki is a real MediaWiki; setting it up with 5,583 pages takes minutes the first time.
"""

import argparse
import bz2
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from xml.etree.ElementTree import iterparse
from xml.sax.saxutils import escape

import mwparserfromhell
import requests
from ruamel.yaml import YAML

from motags.sources import wikipedia
from servers.mediawiki import MediaWiki, Page, lead_pages, real_pages
from servers.tmdb import BEARER, Tmdb, real_films
from servers.wikidata import Wikidata, real_entities

ROOT = Path(__file__).resolve().parents[2]
DUMP = """
import sys, time
from pathlib import Path
from motags.machine import peak_memory_mb
from motags.sources.dump import film_articles

started = time.perf_counter()
n = sum(1 for _ in film_articles(Path(sys.argv[1]), int(sys.argv[2])))
print(n, time.perf_counter() - started, peak_memory_mb())
"""


def seconds(work: Callable[[], object]) -> float:
    """Seconds that some work takes, the best of three."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def parse(text: str) -> tuple[object, ...]:
    """All that a crawl reads from an article."""
    return wikipedia.plot(text), wikipedia.lead(text), wikipedia.categories(text), wikipedia.year(text)


def parsing(pages: list[Page]) -> None:
    """Articles parsed a second."""
    ours = seconds(lambda: [parse(page.text) for page in pages])
    whole = seconds(lambda: [mwparserfromhell.parse(page.text).strip_code() for page in pages])
    print(f"parsing   ours                     {len(pages) / ours:7.0f} articles/s")
    print(f"parsing   strip_code of the page   {len(pages) / whole:7.0f} articles/s   {whole / ours:.1f} times as long")


def dumped(pages: list[Page], times: int) -> Iterator[str]:
    """A dump of the pages, many times over under other titles."""
    yield '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">'
    for number, (time_, page) in enumerate(itertools.product(range(times), pages), start=1):
        yield (
            f"<page><title>{escape(page.title)} {time_}</title><ns>0</ns><id>{number}</id><revision><id>{number}</id>"
            f"<timestamp>2020-01-01T00:00:00Z</timestamp><text>{escape(page.text)}</text></revision></page>\n"
        )
    yield "</mediawiki>"


def dump(pages: list[Page], folder: Path, times: int) -> None:
    """Articles read from a dump a second, and peak memory."""
    path, packer = folder / "dump.xml.bz2", bz2.BZ2Compressor()
    size = 0
    with path.open("wb") as file:
        for piece in dumped(pages, times):
            size += len(piece.encode())
            file.write(packer.compress(piece.encode()))
        file.write(packer.flush())
    mb = size / 2**20
    command = [sys.executable, "-c", DUMP, str(path), str(os.cpu_count())]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    articles, ours, memory = map(float, said.stdout.split())

    def plain() -> None:
        with bz2.open(path) as xml:
            for _, element in iterparse(xml):  # noqa: S314, a file of our own
                element.clear()

    started = time.perf_counter()
    plain()
    theirs = time.perf_counter() - started
    speed = f"{articles / ours:7.0f} articles/s, {mb / ours:.0f} MB/s"
    print(f"dump      ours                     {speed}, {memory:.0f} MB peak")
    print(f"dump      bz2 + iterparse          {articles / theirs:7.0f} articles/s   {theirs / ours:.2f} times as long")


def stage(folder: Path, changes: dict[str, object]) -> tuple[str, dict[str, float]]:
    """Run the stage `crawl` in a folder; give its log and its figures."""
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    for key, value in changes.items():
        *sections, name = key.split(".")
        section = params["crawl"]
        for part in sections:
            section = section[part]
        section[name] = value
    folder.mkdir()
    yaml.dump(params, folder / "params.yaml")
    command = [sys.executable, str(ROOT / "stages/crawl.py"), "data/raw", "data/catalogue", "metrics/crawl.json"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMDB_TOKEN": BEARER}
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    return (folder / "logs/crawl.log").read_text(), json.loads((folder / "logs/crawl.json").read_text())


def crawl(films: int, pages: list[Page], folder: Path) -> None:
    """Films crawled a second, peak memory, and the time as a multiple of what the rates allow."""
    with ExitStack() as running:
        tmdb = running.enter_context(Tmdb(real_films()))
        wikidata = running.enter_context(Wikidata(real_entities()))
        wiki = running.enter_context(MediaWiki(pages))
        changes = {
            "sources": ["wikipedia", "wikidata", "tmdb"], "contact": "benchmark@example.org", "films": films,
            "first_year": 1900, "tmdb.api": tmdb.api, "tmdb.accept_terms": True, "wikipedia.api": wiki.api,
            "wikidata.api": wikidata.api, "wikidata.query_service": wikidata.query,
        }  # fmt: skip
        off = {"tmdb.rate": 1e9, "wikidata.rate": 1e9, "wikipedia.rate": 1e9}
        log, figures = stage(folder / "off", changes | off)
        speed, memory = films / took(log), figures["peak_memory_mb"]
        print(f"crawl     ours, rates off          {speed:7.0f} films/s, {memory:.0f} MB peak")
        addresses = [tmdb.api.removesuffix("/3") + path for path in tmdb.seen]
        started = time.perf_counter()
        with requests.Session() as session:
            for address in addresses:
                session.get(address, headers={"Authorization": f"Bearer {BEARER}"}, timeout=30)
        bare = time.perf_counter() - started
        print(f"crawl     bare requests, TMDB only {films / bare:7.0f} films/s, {bare / took(log):.2f} times as long")
        log, _ = stage(folder / "on", changes | {"tmdb.rate": 50.0, "wikidata.rate": 10.0, "wikipedia.rate": 10.0})
        least = float(re.findall(r"no less than ([\d.]+) s", log)[0])
        speed, times = films / took(log), took(log) / least
        print(f"crawl     ours, rates 50, 10, 10   {speed:7.0f} films/s, {times:.3f} times what the rates allow")


def took(log: str) -> float:
    """Seconds of the crawl, by its log."""
    return float(re.findall(r"crawled for ([\d.]+) s", log)[0])


def main() -> None:
    """Measure parsing, dump and crawl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=5595)
    arguments = parser.parse_args()
    real = [page for page in real_pages() if wikipedia.is_film(page.text)]
    with tempfile.TemporaryDirectory() as folder:
        parsing(real)
        dump(real, Path(folder), times=200)
        crawl(arguments.films, [*real_pages(), *lead_pages()], Path(folder))


if __name__ == "__main__":
    main()
