"""A real MediaWiki, out of the distribution's packages, without root: `with MediaWiki(pages) as wiki: wiki.api`.

The packages are unpacked once into the user's cache, and so is each database, by a digest of its pages; every
instance then runs a copy of its own, on a ram disk where there is one.
"""

import atexit
import gzip
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote
from xml.sax.saxutils import escape

from defusedxml import ElementTree

from servers.debian import CACHE, Apt, UnavailableError, libraries, locked, make_once, skip_or_fail, unpacked

REAL = Path(__file__).parents[3] / "shared/real"
RAM = Path("/dev/shm")  # noqa: S108
PHP_PACKAGES = ("cli", "common", "opcache", "apcu", "intl", "mbstring", "sqlite3", "xml")
PHP_EXTENSIONS = (
    *("apcu", "ctype", "dom", "fileinfo", "iconv", "intl", "mbstring", "pdo", "pdo_sqlite", "posix", "simplexml"),
    *("sqlite3", "tokenizer", "xml", "xmlreader", "xmlwriter"),
)
PHP_INI = "extension_dir={folder}\nzend_extension=opcache\nmemory_limit=1G\ndisplay_errors=0\nlog_errors=1\n"
SETTINGS = """<?php
$wgSitename = 'Films';
$wgServer = 'http://127.0.0.1';
$wgScriptPath = '/w';
$wgDBtype = 'sqlite';
$wgDBname = 'wiki';
$wgSQLiteDataDir = __DIR__;
$wgSecretKey = str_repeat( 'motags', 8 );
$wgCacheDirectory = __DIR__ . '/cache';
$wgLocalisationCacheConf['store'] = 'array';
$wgMainCacheType = $wgParserCacheType = $wgMessageCacheType = $wgSessionCacheType = CACHE_NONE;
$wgUseDatabaseMessages = $wgEnableEmail = $wgPingback = false;
$wgDisableSearchUpdate = true;
$wgJobRunRate = 0;
"""
INSTALL = "--dbtype sqlite --dbname wiki --scriptpath /w --server http://127.0.0.1 --pass correct-horse-9 Films Admin"


@dataclass(frozen=True)
class Page:
    """A page of a wiki; a redirect's text is `#REDIRECT [[x]]`."""

    title: str
    text: str


class MediaWiki:
    """A wiki of these pages on a port of its own; a small `max_result_size` (bytes) gives truncated results."""

    def __init__(self, pages: Iterable[Page], max_result_size: int | None = None) -> None:
        self._max_result_size = max_result_size
        self._wiki = database(list(pages))
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder = _work_folder()
        atexit.register(self._stop)
        shutil.copytree(self._wiki, self._folder, dirs_exist_ok=True)
        self._php = _Php(software(), self._folder)
        (self._folder / "www").mkdir()
        (self._folder / "www/w").symlink_to(self._php.mediawiki)
        self._start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop()
        atexit.unregister(self._stop)

    def edit(self, title: str, text: str) -> None:
        """Make a new revision of a page, or a new page."""
        self._php.maintain("edit.php", title, said=text)

    def delete(self, title: str) -> None:
        """Delete a page."""
        self._php.maintain("deleteBatch.php", said=title)

    def _start(self) -> None:
        port = _free_port()
        self.api = f"http://127.0.0.1:{port}/w/api.php"
        own = f"$wgServer = 'http://127.0.0.1:{port}';\n"
        own += f"$wgAPIMaxResultSize = {self._max_result_size};\n" if self._max_result_size else ""
        (self._folder / "LocalSettings.php").write_text(SETTINGS + own)
        self._server = self._php.serve(port, self._folder / "www", self._folder / "server.log")
        _wait_for(f"{self.api}?action=query&meta=siteinfo&format=json", self._server, self._folder / "server.log")

    def _stop(self) -> None:
        if self._server and self._server.poll() is None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Php:
    """The unpacked PHP and MediaWiki, with the settings of one wiki's folder."""

    def __init__(self, packages: Path, folder: Path) -> None:
        self.mediawiki = packages / "usr/share/mediawiki"
        self._php = next(packages.glob("usr/bin/php[0-9]*"))
        extensions = next(packages.glob("usr/lib/php/*/pdo_sqlite.so")).parent
        lines = [f"extension={name}\n" for name in PHP_EXTENSIONS]
        (folder / "php.ini").write_text(PHP_INI.format(folder=extensions) + "".join(lines))
        self._env = os.environ | libraries(packages) | {"PHPRC": str(folder), "PHP_INI_SCAN_DIR": ""}
        self._env |= {"MW_CONFIG_FILE": str(folder / "LocalSettings.php")}
        self._env.pop("PHP_CLI_SERVER_WORKERS", None)  # its workers would outlive it

    def maintain(self, script: str, *words: str, said: str = "", **env: str) -> None:
        """Run one of MediaWiki's maintenance scripts."""
        command = [str(self._php), str(self.mediawiki / "maintenance" / script), *words]
        done = subprocess.run(
            command, cwd=self.mediawiki, env=self._env | env, input=said, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{script} {words}: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def serve(self, port: int, root: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start PHP's own server; it dies with this process, however that ends."""
        command = ["setpriv", "--pdeathsig", "KILL", str(self._php), "-S", f"127.0.0.1:{port}", "-t", str(root)]
        with log.open("wb") as out:
            return subprocess.Popen(
                command, env=self._env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )


def database(pages: list[Page]) -> Path:
    """The folder of a wiki with these pages, made once."""
    packages = software()
    digest = hashlib.sha256(json.dumps([packages.name, SETTINGS, INSTALL]).encode())
    for page in pages:
        digest.update(json.dumps([page.title, page.text]).encode())
    folder = CACHE / "wikis" / digest.hexdigest()[:20]
    with locked(folder.name):
        if not folder.exists():
            make_once(folder, lambda draft: _import(packages, draft, pages))
    return folder


def _import(packages: Path, folder: Path, pages: list[Page]) -> None:
    work = _work_folder()
    try:
        php = _install(packages, work)
        (work / "dump.xml").write_text("".join(_dump(pages)), encoding="utf-8")
        php.maintain("importDump.php", "--no-updates", str(work / "dump.xml"))
        php.maintain("refreshLinks.php")
        php.maintain("runJobs.php")
        _check_all_there(work / "wiki.sqlite", pages)
        shutil.copy(work / "wiki.sqlite", folder)
        shutil.copytree(work / "cache", folder / "cache")
    finally:
        shutil.rmtree(work)


def _install(packages: Path, folder: Path) -> _Php:
    php = _Php(packages, folder)
    (folder / "installed").mkdir()
    words = ["--dbpath", str(folder), "--confpath", str(folder / "installed"), *INSTALL.split()]
    php.maintain("install.php", *words, MW_CONFIG_FILE=str(folder / "none"))
    (folder / "LocalSettings.php").write_text(SETTINGS)
    (folder / "cache").mkdir()
    return php


def _dump(pages: Iterable[Page]) -> Iterator[str]:
    yield '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">\n'
    for page in pages:
        yield f"<page><title>{escape(page.title)}</title><revision><timestamp>2020-01-01T00:00:00Z</timestamp>"
        yield "<contributor><username>Tester</username></contributor><model>wikitext</model>"
        yield f'<format>text/x-wiki</format><text xml:space="preserve">{escape(page.text)}</text></revision></page>\n'
    yield "</mediawiki>\n"


def _check_all_there(wiki: Path, pages: list[Page]) -> None:
    """The import leaves out pages with a title that it cannot take, and says nothing."""
    connection = sqlite3.connect(wiki)
    (there,) = connection.execute("SELECT count(*) FROM page").fetchone()
    connection.close()
    asked = len({page.title for page in pages} | {"Main Page"})
    if there != asked:
        raise ValueError(f"{asked - there} of {asked} pages were not imported: look at their titles.")


def software() -> Path:
    """The folder with the unpacked packages, downloaded once."""
    return unpacked("mediawiki", _unpack)


def _unpack(apt: Apt, folder: Path) -> None:
    php = apt.depends("php-cli", "php").removesuffix("-cli")
    php_packages = [f"{php}-{part}" for part in PHP_PACKAGES]
    apt.download(["mediawiki", apt.depends("mediawiki", "mediawiki-"), *php_packages], needed_by=php_packages)
    apt.unpack(folder)
    mediawiki = folder / "usr/share/mediawiki"
    for name in ("LocalSettings.php", "config", "extensions", "images"):
        (mediawiki / name).unlink()  # absolute links, into a system where it is installed
    (mediawiki / "images").mkdir()
    (mediawiki / "extensions").symlink_to("extensions-core")


def unavailable() -> str | None:
    """Why no MediaWiki can be set up here; None when it is set up, which this does."""
    try:
        software()
    except UnavailableError as error:
        return str(error)
    return None


def need_mediawiki() -> None:
    """Skip the test where no MediaWiki can be set up; with CI=true fail it."""
    if reason := unavailable():
        skip_or_fail(reason)


def _work_folder() -> Path:
    """A new folder, in memory where it can be; those of killed processes go."""
    parent = RAM if os.access(RAM, os.W_OK) else Path(tempfile.gettempdir())
    for old in parent.glob("motags-wiki-*-*"):
        if not Path("/proc", old.name.split("-")[2]).exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"motags-wiki-{os.getpid()}-", dir=parent))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the first answer; it also fills the server's caches."""
    for _ in range(200):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=30):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise RuntimeError(f"MediaWiki does not answer: {log.read_text()[-2000:]}")


def real_pages() -> list[Page]:
    """The 71 real pages, of which 10 are redirects."""
    trees = [ElementTree.parse(path) for path in sorted(_real("wikitext").glob("*.xml"))]
    return [Page(str(tree.findtext("title")), tree.findtext("revision/text") or "") for tree in trees]


def lead_pages() -> Iterator[Page]:
    """The benchmark's 5,583 articles, each with an infobox, a lead and a category, but no plot."""
    with gzip.open(_real("wikipedia.jsonl.gz"), "rt", encoding="utf-8") as rows:
        yield from (lead_page(row) for row in map(json.loads, rows) if row["tmdb_id"])


def lead_page(row: dict[str, Any]) -> Page:
    """The article of one film."""
    cast = "".join(f"\n* [[{name}]]" for name in row["cast"])
    fields = {
        "name": row["title"],
        "released": f"{{{{Film date|{row['year']}}}}}",
        "starring": f"{{{{Plainlist|{cast}}}}}",
    }
    box = "".join(f"| {name} = {value}\n" for name, value in fields.items())
    text = f"{{{{Infobox film\n{box}}}}}\n{row['lead']}\n\n[[Category:{row['year']} films]]"
    return Page(unquote(row["page"]).replace("_", " "), text)


def _real(name: str) -> Path:
    if not (REAL / name).exists():
        skip_or_fail(f"the real data of the benchmark is missing: {name}")
    return REAL / name
