"""Dumps of Wikipedia: the same articles as the API gives, without the network, in little memory."""

import bz2
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
import requests

from motags.errors import MotagsError
from motags.films.catalogue import read_films
from motags.films.film import Film
from motags.sources import wikipedia
from motags.sources.dump import film_articles
from motags.sources.fetch import FetchParams
from motags.sources.mediawiki import BATCH, MediaWiki
from motags.sources.store import Record, Table
from servers import mediawiki as real
from servers.crawling import FAST, ROOT, CrawlProject, crawl, crawl_params, items_of, many_films, page_of, sites
from servers.mediawiki import Page, real_pages

POLICY = FetchParams(tries=2, backoff=0.0, max_wait=1.0, timeout=30.0, max_body_mb=64.0)
FILMS = many_films(30)
ARTICLES = [page_of(film) for film in FILMS]
PAGES = [
    *ARTICLES,
    Page(
        "Gull & Rock <x>".replace("<x>", "ö"),
        "{{Infobox film}}\nA & B <!-- c --> < d 'שלום' 😀\n[[Category:1999 films]]",
    ),
    Page("Keeper", "#REDIRECT [[The Keeper of Gull Rock 1 (1994 film)]]"),
    Page("Lighthouse", "A lighthouse is a tower. [[Category:Towers]]"),
    Page("Category:1994 films", "[[Category:1990s films]]"),
    Page("Template:A film", "{{Infobox film}}[[Category:1994 films]]"),
]
HEAD = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">\n'
READ = """
import re, sys
from pathlib import Path
from motags.sources.dump import film_articles
print(sum(1 for _ in film_articles(Path(sys.argv[1]), 1)))
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""  # getrusage would count the memory of this process too, which starts it


def element(page: Page, number: int, revision: int) -> str:
    """A page as a dump has it: the ids of the page, its revision and its author all bear the same name."""
    target = wikipedia.redirect(page.text)
    namespace = {"Category": 14, "Template": 10}.get(page.title.partition(":")[0], 0)
    return (
        f"<page>\n<title>{escape(page.title)}</title>\n<ns>{namespace}</ns>\n<id>{number}</id>\n"
        + (f'<redirect title="{escape(target)}" />\n' if target else "")
        + f"<revision>\n<id>{revision}</id>\n<parentid>{revision - 1}</parentid>\n"
        f"<timestamp>2020-01-01T00:00:00Z</timestamp>\n<contributor><username>Tester</username><id>7</id></contributor>\n"
        f"<comment>a change</comment>\n<model>wikitext</model>\n<format>text/x-wiki</format>\n"
        f'<text bytes="{len(page.text)}" xml:space="preserve">{escape(page.text)}</text>\n</revision>\n</page>\n'
    )


def dumped(pages: Iterable[Page], revision: int = 1000) -> str:
    """A dump of pages."""
    return HEAD + "".join(element(page, n, revision + n) for n, page in enumerate(pages, 1)) + "</mediawiki>\n"


def exported(api: str, titles: list[str]) -> bytes:
    """The dump that a MediaWiki itself makes of its pages."""
    asked = {"action": "query", "format": "json", "export": 1, "exportnowrap": 1, "titles": "|".join(titles)}
    return requests.post(api, data=asked, timeout=60).content


def from_api(api: str, titles: list[str]) -> list[Record]:
    """The pages about films as the API gives them."""
    with MediaWiki("Wikipedia", api, FAST, POLICY, "loopback@example.org") as site:
        records = [record for record in site.pages(titles) if record.content and "wikitext" in record.content]
    return by_id(record for record in records if wikipedia.is_film(record.content["wikitext"]))


def by_id(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.content["pageid"])


@pytest.fixture(scope="module")
def wiki() -> Iterator[real.MediaWiki]:
    real.need_mediawiki()
    with real.MediaWiki(PAGES) as wiki:
        yield wiki


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "pages-articles.xml"
    path.write_text(dumped(PAGES), encoding="utf-8")
    return path


def test_a_dump_gives_the_records_that_the_api_gives(wiki: real.MediaWiki, tmp_path: Path) -> None:
    titles = [page.title for page in PAGES if page.title != "Template:A film"]
    path = tmp_path / "pages.xml"
    path.write_bytes(exported(wiki.api, titles))
    assert by_id(film_articles(path, 1)) == from_api(wiki.api, titles)
    assert len(list(film_articles(path, 1))) == len(ARTICLES) + 1


@pytest.mark.slow
def test_a_dump_gives_the_records_that_the_api_gives_of_real_pages(tmp_path: Path) -> None:
    real.need_mediawiki()
    titles = [page.title for page in real_pages()]
    with real.MediaWiki(real_pages()) as wiki:
        for first in range(0, len(titles), BATCH):
            path = tmp_path / f"{first}.xml"
            path.write_bytes(exported(wiki.api, titles[first : first + BATCH]))
            wanted = from_api(wiki.api, titles[first : first + BATCH])
            found = {record.key: record for record in film_articles(path, 1)}
            # the API also gives the pages that a redirect leads to
            assert all(found[record.key] == record for record in wanted if record.key in found)
            assert found.keys() == {record.key for record in wanted} & set(titles[first : first + BATCH])
            assert len(found) > 10


def test_redirects_other_namespaces_and_other_subjects_are_left_out(wiki: real.MediaWiki, tmp_path: Path) -> None:
    path = tmp_path / "pages.xml"
    path.write_bytes(exported(wiki.api, [page.title for page in PAGES]))
    left_out = {page.title for page in PAGES} - {record.key for record in film_articles(path, 1)}
    assert left_out == {"Keeper", "Lighthouse", "Category:1994 films", "Template:A film"}


@pytest.mark.parametrize("streams", [1, 2, 7])
def test_a_packed_dump_of_one_or_many_streams_gives_the_same(path: Path, streams: int) -> None:
    text = path.read_bytes()
    size = -(-len(text) // streams)
    packed = path.with_suffix(".xml.bz2")
    packed.write_bytes(b"".join(bz2.compress(text[n : n + size]) for n in range(0, len(text), size)))
    plain = list(film_articles(path, 1))
    assert list(film_articles(packed, 1)) == list(film_articles(packed, 2)) == plain
    assert len(plain) == len(ARTICLES) + 1


def test_the_ids_are_those_of_the_page_and_its_revision(path: Path) -> None:
    first = next(film_articles(path, 1))
    assert (first.key, first.content["pageid"], first.revision) == (ARTICLES[0].title, 1, 1001)
    assert first.content["wikitext"] == ARTICLES[0].text


def refused(path: Path) -> str:
    with pytest.raises(MotagsError) as refusal:
        list(film_articles(path, 1))
    message = str(refusal.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_missing_dump_is_refused(tmp_path: Path) -> None:
    for name in ("none.xml", "none.xml.bz2"):
        assert "crawl.wikipedia.dump" in refused(tmp_path / name)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("streams", [0, 1, 5])
def test_a_dump_that_is_cut_short_is_refused(path: Path, streams: int, share: float) -> None:
    text = path.read_bytes()
    cut = path.with_name("cut.xml" + ".bz2" * bool(streams))
    size = -(-len(text) // (streams or 1))
    packed = b"".join(bz2.compress(text[n : n + size]) for n in range(0, len(text), size)) if streams else text
    cut.write_bytes(packed[: int(len(packed) * share)])
    assert "download it again" in refused(cut)


def test_a_dump_that_is_cut_between_two_streams_is_refused(path: Path) -> None:
    text = path.read_bytes()
    packed = path.with_suffix(".xml.bz2")
    packed.write_bytes(bz2.compress(text[: len(text) // 2]))
    assert "download it again" in refused(packed)


@pytest.mark.parametrize("name", ["a.xml", "a.xml.bz2"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"BZh9 but no more",
        b'{"some": "json"}',
        b"\x1f\x8b\x08\x00 gzip",
        b"<html><body>Not found</body></html>",
        b"<mediawiki><page><title>No id</title><ns>0</ns>"
        b"<revision><text>[[Category:1999 films]]</text></revision></page></mediawiki>",
    ],
)
def test_what_is_no_dump_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("content", [b"<html><body>Not found</body></html>", b""])
def test_what_is_no_dump_though_packed_as_one_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.xml.bz2"
    path.write_bytes(bz2.compress(content))
    refused(path)


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    lines = [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)]
    bomb = f'<!DOCTYPE mediawiki [<!ENTITY a0 "ha">{"".join(lines)}]>'
    path = tmp_path / "bomb.xml"
    path.write_text(f"{bomb}{HEAD}<page><title>&a11;</title></page></mediawiki>", encoding="utf-8")
    refused(path)


def test_an_entity_that_reads_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "outside.xml"
    path.write_text(f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>{HEAD}<page>&e;</page></mediawiki>')
    refused(path)


def test_a_crawl_of_a_dump_makes_no_request_to_wikipedia(path: Path, tmp_path: Path) -> None:
    params = {"wikipedia__dump": str(path), "first_year": 1990, "last_year": 2000}
    with sites(FILMS, entities=items_of(FILMS), wiki="http://127.0.0.1:1/w/api.php") as loopback:
        alone = crawl(tmp_path / "a", crawl_params(sources=["wikipedia"], **params, **loopback.parameters))
        joined = crawl(tmp_path / "b", crawl_params(sources=["wikidata", "wikipedia"], **params, **loopback.parameters))
        assert loopback.fronts["wikipedia"].seen == []
    assert alone["films"] == len(ARTICLES) + 1
    assert (joined["films"], joined["joined_by"]["sitelink"]) == (len(FILMS), len(FILMS))
    assert joined["having"]["plot"] == len(FILMS)


def test_films_of_a_dump_are_those_of_the_api(wiki: real.MediaWiki, tmp_path: Path) -> None:
    path = tmp_path / "pages.xml"
    path.write_bytes(exported(wiki.api, [page.title for page in PAGES]))
    params = {"sources": ["wikipedia"], "first_year": 1990, "last_year": 2000, "wikipedia__api": wiki.api}
    crawl(tmp_path / "a", crawl_params(**params))
    crawl(tmp_path / "b", crawl_params(wikipedia__dump=str(path), **params))
    assert timeless(tmp_path / "b") == timeless(tmp_path / "a")


def timeless(root: Path) -> list[Film]:
    films = read_films(root / "catalogue-1")
    return sorted((film.model_copy(update={"sources": {}}) for film in films), key=lambda film: film.id)


def test_a_dump_is_read_once_only(path: Path, tmp_path: Path) -> None:
    params = crawl_params(sources=["wikipedia"], wikipedia__dump=str(path), first_year=1990, last_year=2000)
    first = crawl(tmp_path, params)
    path.write_bytes(b"x" * path.stat().st_size)
    assert crawl(tmp_path, params, run=2) == first


def test_a_later_dump_brings_later_revisions(path: Path, tmp_path: Path) -> None:
    params = {"sources": ["wikipedia"], "first_year": 1990, "last_year": 2000}
    crawl(tmp_path, crawl_params(wikipedia__dump=str(path), **params))
    later = path.with_name("later.xml")
    edited = [Page(page.title, page.text.replace("promise", "treaty")) for page in PAGES]
    later.write_text(dumped(edited, revision=2000), encoding="utf-8")
    crawl(tmp_path, crawl_params(wikipedia__dump=str(later), **params), run=2)
    plots = [film.plot for film in read_films(tmp_path / "catalogue-2") if film.plot]
    assert len(plots) == len(ARTICLES)
    assert all("treaty" in plot for plot in plots)


def long_pages(n: int, words: int) -> Iterator[Page]:
    """Articles as long as real ones, and about as hard to pack."""
    chance = random.Random(3)  # noqa: S311
    vocabulary = ["".join(chance.choices("abcdefghiklmnoprstuvw", k=chance.randint(2, 9))) for _ in range(3000)]
    for number in range(n):
        article, prose = ARTICLES[number % len(ARTICLES)], " ".join(chance.choices(vocabulary, k=words))
        yield Page(f"{article.title} {number}", f"{article.text}\n== Reception ==\n{prose}")


@pytest.mark.slow
def test_a_crawl_of_a_dump_that_is_killed_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "pages.xml"
    path.write_text(dumped(long_pages(1500, 2500)), encoding="utf-8")
    params = {"sources": ["wikipedia"], "wikipedia__dump": str(path), "first_year": 1990, "films": 100}
    killed, whole = CrawlProject(tmp_path / "killed"), CrawlProject(tmp_path / "whole")
    for project in (killed, whole):
        project.configure(**params)
    process, shard = killed.start(), killed.raw / "wikipedia/00000.jsonl"
    while not shard.exists() or shard.stat().st_size < 3_000_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert 0 < len(Table(killed.raw / "wikipedia")) < 1500
    for project in (killed, whole):
        assert project.run().returncode == 0
    assert killed.files() == whole.files()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads what only Linux says")
def test_a_dump_of_100_mb_is_read_in_little_memory(tmp_path: Path) -> None:
    stream = "".join(element(page, 1, 1) for page in long_pages(300, 3500)).encode()
    times = 100 * 2**20 // len(stream)
    path = tmp_path / "pages.xml.bz2"
    path.write_bytes(bz2.compress(HEAD.encode()) + bz2.compress(stream) * times + bz2.compress(b"</mediawiki>"))
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    said = subprocess.run([sys.executable, "-c", READ, str(path)], env=env, capture_output=True, text=True, check=True)
    articles, peak = map(int, said.stdout.split())
    assert articles == 300 * times
    assert peak / 1024 < 300
