"""Run MediaWiki, Wikidata and TMDB on loopback with the 5,595 real films: `python tests/servers`."""

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import requests

MEDIAWIKI_PORT, WIKIDATA_PORT, TMDB_PORT = 8701, 8702, 8703
COMMAND = """Answering until Ctrl-C. In another terminal, from the project's root:

TMDB_TOKEN={token} dvc exp run \\
  -S 'crawl.sources=[wikipedia,wikidata,tmdb]' -S crawl.contact=loopback@example.org -S crawl.first_year=1900 \\
  -S crawl.wikipedia.api={wikipedia} -S crawl.wikipedia.rate=50 \\
  -S crawl.wikidata.api={wikidata} \\
  -S crawl.wikidata.query_service={query} -S crawl.wikidata.rate=50 \\
  -S crawl.tmdb.api={tmdb} -S crawl.tmdb.rate=200 -S crawl.tmdb.accept_terms=true
"""


@contextmanager
def _mediawiki() -> Iterator[str]:
    """Give the address of a wiki of the real pages, on a port that stays the same from run to run."""
    wikis, loopback = importlib.import_module("servers.mediawiki"), importlib.import_module("servers.tmdb")
    if reason := wikis.unavailable():
        raise SystemExit(reason)

    class FixedPort(loopback.Loopback):  # type: ignore[misc, name-defined]  # MediaWiki takes any free port
        def answer(self, request: object) -> object:
            path, pairs = request.path, urlencode(request.pairs)  # type: ignore[attr-defined]
            found = requests.request(request.method, f"{inner}{path}?{pairs}", timeout=60)  # type: ignore[attr-defined]
            return loopback.Answer(found.status_code, found.text, content_type=found.headers["Content-Type"])

    with wikis.MediaWiki([*wikis.real_pages(), *wikis.lead_pages()]) as wiki:
        parts = urlsplit(wiki.api)
        inner = f"{parts.scheme}://{parts.netloc}"
        with FixedPort(MEDIAWIKI_PORT) as fixed:
            yield fixed.url + parts.path


def _run() -> None:
    tmdb, wikidata = importlib.import_module("servers.tmdb"), importlib.import_module("servers.wikidata")
    with ExitStack() as running:
        items = running.enter_context(wikidata.Wikidata(wikidata.real_entities(), port=WIKIDATA_PORT))
        films = running.enter_context(tmdb.Tmdb(tmdb.real_films(), port=TMDB_PORT))
        pages = running.enter_context(_mediawiki())
        addresses = {"wikipedia": pages, "wikidata": items.api, "query": items.query, "tmdb": films.api}
        sys.stdout.write(COMMAND.format(token=tmdb.BEARER, **addresses))
        sys.stdout.flush()
        threading.Event().wait()


def main() -> None:
    """Start all three, say how to crawl them, wait for Ctrl-C."""
    sys.path[0] = str(Path(__file__).parents[1])  # a folder run as a program stands there itself
    sys.stdout.write("Starting; the wiki takes minutes the first time.\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        _run()


if __name__ == "__main__":
    main()
