"""Crawls of the loopback servers: films that belong together on all of them, parameters, and real stage projects."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.request import Request as Question
from urllib.request import urlopen

from ruamel.yaml import YAML

from motags.sources.gather import gather
from motags.sources.params import CrawlParams
from motags.sources.tmdb import TOKEN
from servers import wikidata
from servers.front import Fault, Front, Request, answer, no_fault
from servers.mediawiki import MediaWiki, Page
from servers.tmdb import BEARER, OWN, Json, Tmdb, film_qid

ROOT = Path(__file__).parents[2]
COMMAND = ("stages/crawl.py", "data/raw", "data/catalogue", "metrics/crawl.json")
FAST = 1_000_000.0  # requests a second
QUICK: dict[str, Any] = {
    "contact": "tests@example.org",
    "fetch__backoff": 0.01,
    "fetch__timeout": 5.0,
    "wikipedia__rate": FAST,
    "wikidata__rate": FAST,
    "tmdb__rate": FAST,
    "tmdb__accept_terms": True,
    "sources": ["tmdb"],
    "first_year": 1994,
    "last_year": 1996,
}
GENRE, SUBJECT = "Q130232", "Q180000001"
WORDS = "The {word} is found at dawn, and whoever asks for it learns that a promise was broken long ago. "


def crawl_section(**changes: Any) -> dict[str, Any]:
    """The project's section `crawl`, quick and for TMDB alone; `tmdb__api=...` changes `crawl.tmdb.api`."""
    section: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")["crawl"]
    for name, value in (QUICK | changes).items():
        *folders, key = name.split("__")
        place = section
        for folder in folders:
            place = place[folder]
        assert key in place, name
        place[key] = value
    return section


def crawl_params(**changes: Any) -> CrawlParams:
    """The same, checked."""
    return CrawlParams.model_validate(crawl_section(**changes))


def many_films(n: int) -> list[Json]:
    """Films of 1994 to 1996 in TMDB's shape, each like an own one but for its ids, title and votes."""
    likes = [film for film in OWN if not film.get("adult")]
    return [_like(likes[number % len(likes)], number) for number in range(1, n + 1)]


def _like(film: Json, number: int) -> Json:
    key, title = 9_100_000 + number, f"{film['title']} {number}"
    ids = {"id": key, "imdb_id": f"tt{99_100_000 + number}", "wikidata_id": film_qid(key)}
    return film | ids | {"title": title, "original_title": title, "vote_count": 100_000 - number}


def article_of(film: Json) -> str:
    """The name of a film's article."""
    return f"{film['title']} ({film['release_date'][:4]} film)"


def items_of(films: Iterable[Json]) -> list[Json]:
    """The Wikidata items of films, with the genre and the subject that they name."""
    own = [
        wikidata.entity(
            film["wikidata_id"],
            film["title"],
            tmdb=film["id"],
            imdb=film["imdb_id"],
            article=article_of(film),
            dates=[film["release_date"]],
            genres=[GENRE],
            subjects=[SUBJECT],
        )
        for film in films
    ]
    return [*own, wikidata.item(GENRE, "drama film", {}, {}, 1), wikidata.item(SUBJECT, "promise", {}, {}, 1)]


def page_of(film: Json) -> Page:
    """A film's article, with an infobox, a lead, a plot and categories."""
    year = film["release_date"][:4]
    plot = " ".join(WORDS.format(word=film["title"]) for _ in range(6))
    text = (
        f"{{{{Infobox film\n| name = {film['title']}\n| released = {{{{Film date|{year}|1|2}}}}\n}}}}\n"
        f"'''''{film['title']}''''' is a {year} film.\n\n== Plot ==\n{plot}\n\n[[Category:{year} films]]\n"
    )
    return Page(article_of(film), text)


@dataclass
class Sites:
    """Fronts of the sites that run; `parameters` leads a crawl to them."""

    fronts: dict[str, Front]
    tmdb: Tmdb
    parameters: dict[str, Any]

    @property
    def seen(self) -> list[Request]:
        """The requests of all sites, in the order in which they came."""
        return sorted((request for front in self.fronts.values() for request in front.seen), key=lambda each: each.time)

    def misbehave(self, fault: Callable[[Request], Fault | None], *names: str) -> None:
        """Have these fronts (or all) answer so from now on."""
        for name in names or self.fronts:
            self.fronts[name].fault = fault

    def behave(self) -> None:
        """Pass on every request from now on."""
        self.misbehave(no_fault)


@contextmanager
def sites(
    films: Sequence[Json], *, extra: dict[int, Json] | None = None, entities: Sequence[Json] = (), wiki: str = ""
) -> Iterator[Sites]:
    """TMDB with these films; Wikidata where there are items; Wikipedia where there is a wiki, http://host:port."""
    with ExitStack() as stack:
        tmdb = stack.enter_context(Tmdb(films, extra=extra))
        fronts = {"tmdb": stack.enter_context(Front(tmdb.url))}
        parameters: dict[str, Any] = {"tmdb__api": fronts["tmdb"].url + "/3"}
        if entities:
            items = stack.enter_context(wikidata.Wikidata(entities))
            front = fronts["wikidata"] = stack.enter_context(Front(items.url))
            parameters |= {"wikidata__api": f"{front.url}/w/api.php", "wikidata__query_service": f"{front.url}/sparql"}
        if wiki:
            front = fronts["wikipedia"] = stack.enter_context(Front(wiki))
            parameters |= {"wikipedia__api": f"{front.url}/w/api.php"}
        yield Sites(fronts, tmdb, parameters)


@contextmanager
def wiki_of(films: Iterable[Json], *others: Page, **options: Any) -> Iterator[MediaWiki]:
    """A real MediaWiki with the articles of films."""
    with MediaWiki([*map(page_of, films), *others], **options) as wiki:
        yield wiki


def changed(front: Front, change: Callable[[Json], object]) -> Fault:
    """The upstream's answer, after `change` had it in its hands (an answer that it gives counts instead)."""

    def fault(handler: BaseHTTPRequestHandler) -> None:
        headers = {name: handler.headers[name] for name in ("Authorization", "Accept") if name in handler.headers}
        with urlopen(Question(f"http://{front.upstream}{handler.path}", headers=headers), timeout=60) as came:
            body = json.load(came)
        given = change(body)
        answer(body if given is None else given)(handler)

    return fault


def crawl(root: Path, params: CrawlParams, run: int = 1) -> dict[str, Any]:
    """Crawl in this process into root/raw and a new folder root/catalogue-RUN; give the metrics."""
    folder = root / f"catalogue-{run}"
    folder.mkdir(parents=True)
    return gather(root / "raw", folder, params, 1)


def asked(request: Request) -> set[tuple[str, str]]:
    """The (table, key) pairs of the store that a request of a crawl is to fill."""
    query, path = request.query, request.path.split("?")[0]
    if "/movie/" in path:
        return {("tmdb", path.rsplit("/", 1)[1])}
    if path.endswith("/discover/movie"):
        return {("tmdb-lists", f"{query['primary_release_year']} page {query['page']}")}
    if path.endswith("/sparql"):
        return {("wikidata-ids", f"tmdb:{key}") for key in re.findall(r'"(\d+)"', query["query"])}
    if query["action"] == "wbgetentities":
        return {("wikidata", key) for key in query["ids"].split("|")}
    return {("wikipedia", title) for title in query["titles"].split("|")}


def stored(raw: Path) -> set[tuple[str, str]]:
    """The (table, key) pairs that a store holds; a last line that was cut short does not count."""
    lines = ((path.parent.name, line) for path in raw.glob("*/*.jsonl") for line in path.open(encoding="utf-8"))
    return {(table, json.loads(line)["key"]) for table, line in lines if line.endswith("\n")}


def rows(path: Path) -> list[Json]:
    """The rows of a file of JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def without_times(folder: Path) -> dict[str, str]:
    """The files of a store or catalogue by name, fetch times and the seals over them apart."""
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".raw.lock"
    }
    return {name: _timeless(path) for name, path in files.items() if path.name != "SHA256SUMS"}


def _timeless(path: Path) -> str:
    if path.suffix != ".jsonl":
        return path.read_text(encoding="utf-8")
    lines = path.read_text(encoding="utf-8").splitlines()
    return "".join(json.dumps(_without(json.loads(line), "fetched")) + "\n" for line in lines)


def _without(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, name) for key, item in value.items() if key != name}
    return [_without(item, name) for item in value] if isinstance(value, list) else value


@dataclass
class CrawlProject:
    """A project of its own in which the stage `crawl` runs as a program."""

    root: Path
    token: str = BEARER

    def configure(self, **changes: Any) -> None:
        """Write params.yaml (JSON is YAML) and link to the stage."""
        self.root.mkdir(parents=True, exist_ok=True)
        section = {"seed": 42, "threads": 1, "crawl": crawl_section(**changes)}
        (self.root / "params.yaml").write_text(json.dumps(section, indent=2), encoding="utf-8")
        if not (self.root / "stages").exists():
            (self.root / "stages").symlink_to(ROOT / "stages")

    def environment(self, *folders: Path) -> dict[str, str]:
        """The environment of the stage; these folders come first on the path of modules."""
        path = os.pathsep.join(map(str, [*folders, ROOT / "src"]))
        return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", TOKEN: self.token}

    def start(self, *before: str, folders: Sequence[Path] = ()) -> subprocess.Popen[str]:
        """Start the stage, after other words of its command line, and don't wait for it."""
        command = [sys.executable, *before, *COMMAND]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.root, env=self.environment(*folders), stdout=pipe, stderr=pipe, text=True
        )

    def run(self, *before: str, folders: Sequence[Path] = ()) -> subprocess.CompletedProcess[str]:
        """Run the stage to its end."""
        process = self.start(*before, folders=folders)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def raw(self) -> Path:
        """The store."""
        return self.root / "data/raw"

    @property
    def catalogue(self) -> Path:
        """The films."""
        return self.root / "data/catalogue"

    def files(self) -> dict[str, str]:
        """The store and the catalogue, fetch times apart."""
        both = {folder.name: without_times(folder) for folder in (self.raw, self.catalogue)}
        return {f"{folder}/{name}": text for folder, files in both.items() for name, text in files.items()}
