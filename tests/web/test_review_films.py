"""What the page gives of a film beside its text: poster, facts, the kinds of evidence that carry a tag."""

import io
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from builders import put, sample_films
from motags.active_learning.explain import explain
from motags.evidence import picture_files
from motags.evidence.picture_files import Unseen
from motags.films.text import Entry
from motags.tagger.tagger import Tagger
from motags.web import posters
from motags.web.pages import Pages, stance
from motags.web.posters import Posters
from motags.web.scoring import Reason
from servers.review import Client, Review

ID = "a/b?c=\"'#"
SECRET = b"taken at the editor's home"
CHAPLIN = {"directors": ["Charlie Chaplin"], "cast": ["Charlie Chaplin", "A. Newcomer"], "countries": ["US"]}
FILMS: list[dict[str, Any]] = [
    {"id": ID, "title": "With all", "synopsis": "A tramp finds a child.", "poster": "posters/good.jpg", **CHAPLIN},
    {"id": "facts", "title": "Facts alone", "poster": "posters/damaged.jpg", **CHAPLIN},
    {"id": "bare", "title": "Nothing is known"},
    {"id": "linked", "title": "A link", "synopsis": "A text.", "poster": "posters/linked.jpg"},
    {"id": "swapped", "title": "A link later", "synopsis": "A text.", "poster": "posters/swapped.jpg"},
    {"id": "dots", "title": "Dots", "synopsis": "A text.", "poster": "../secret.jpg"},
    {"id": "missing", "title": "Missing", "synopsis": "A text.", "poster": "posters/none.jpg"},
    {"id": "folder", "title": "A folder", "synopsis": "A text.", "poster": "posters"},
    {"id": "pipe", "title": "A pipe", "synopsis": "A text.", "poster": "posters/pipe.jpg"},
    {"id": "moving", "title": "It moves", "synopsis": "A text.", "poster": "posters/moving.webp"},
    {"id": "page", "title": "A page", "synopsis": "A text.", "poster": "posters/page.jpg"},
    {"id": "inside", "title": "A link inside", "synopsis": "A text.", "poster": "posters/inside.jpg"},
]  # fmt: skip


def photograph() -> bytes:
    """A JPEG of 1000 x 600 px that its metadata turn upright; they say more than that."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, SECRET.decode()
    stream = io.BytesIO()
    Image.new("RGB", (1000, 600), "teal").save(stream, "JPEG", exif=exif, comment=SECRET, icc_profile=SECRET)
    return stream.getvalue()


def moving() -> bytes:
    stream = io.BytesIO()
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:])
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with posters of every kind."""
    folder = tmp_path_factory.mktemp("whole") / "catalogue"
    (folder / "posters").mkdir(parents=True)
    put(folder / "posters/good.jpg", photograph())
    put(folder / "posters/damaged.jpg", photograph()[:900])
    put(folder / "posters/swapped.jpg", photograph())
    put(folder / "posters/moving.webp", moving())
    put(folder / "posters/page.jpg", b"<script>alert(1)</script>")
    put(folder.parent / "secret.jpg", photograph())
    (folder / "posters/linked.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / "posters/inside.jpg").symlink_to("good.jpg")
    os.mkfifo(folder / "posters/pipe.jpg")
    lines = (json.dumps(film) + "\n" for film in [*FILMS, *sample_films(30)])
    put(folder / "films.jsonl", "".join(lines).encode())
    return folder


@pytest.fixture(scope="module")
def page(folder: Path, film_tagger_folder: Path) -> Iterator[Review]:
    with Review(folder / "films.jsonl", film_tagger_folder, folder.parent / "review.sqlite") as page:
        page.wait_for_suggestions(len(FILMS) + 30)
        (folder / "posters/swapped.jpg").unlink()  # after the catalogue was read
        (folder / "posters/swapped.jpg").symlink_to(folder.parent / "secret.jpg")
        yield page


@pytest.fixture
def ana(page: Review) -> Client:
    return Client(page.address)


def suggested(page: Review, film: str) -> list[str]:
    with sqlite3.connect(page.decisions) as connection:
        query = "SELECT tag FROM suggestion WHERE film = ? ORDER BY score DESC"
        return [tag for (tag,) in connection.execute(query, (film,))]


@pytest.mark.slow
@pytest.mark.parametrize("film", [ID, "inside"])
def test_a_poster_is_drawn_anew_small_and_without_what_its_file_says(ana: Client, film: str) -> None:
    answer = ana.get("/poster", id=film)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.content != photograph()
    assert SECRET not in answer.content
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("JPEG", (288, 480))
        assert not image.getexif()
        assert not {"exif", "comment", "icc_profile"} & image.info.keys()


@pytest.mark.slow
def test_a_browser_keeps_a_poster_until_its_file_is_another(ana: Client, folder: Path) -> None:
    first = ana.get("/poster", id=ID)
    assert first.headers["Cache-Control"] == "private, no-cache"
    seen = {"If-None-Match": f'"other", W/{first.headers["ETag"]}'}
    again = ana.session.get(first.url, headers=seen, timeout=30)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    stream = io.BytesIO()
    Image.new("RGB", (10, 20), "red").save(stream, "PNG")
    put(folder / "posters/good.jpg", stream.getvalue())
    other = ana.session.get(first.url, headers=seen, timeout=30)
    put(folder / "posters/good.jpg", photograph())
    assert other.status_code == 200
    with Image.open(io.BytesIO(other.content)) as image:
        assert (image.format, image.size) == ("JPEG", (10, 20))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("film", "reason", "on_the_page"),
    [
        ("facts", "damaged", True), ("page", "no JPEG, PNG or WebP picture", True), ("moving", "an animation", True),
        ("bare", "the catalogue names none", False), ("linked", "the catalogue names none", False),
        ("dots", "the catalogue names none", False), ("swapped", "outside the catalogue's folder", False),
        ("missing", "missing", False), ("folder", "not a file", False), ("pipe", "not a file", False),
    ],
)  # fmt: skip
def test_a_poster_that_can_not_be_shown_is_refused_with_the_reason(
    ana: Client, film: str, reason: str, on_the_page: bool
) -> None:
    answer = ana.get("/poster", id=film)
    assert (answer.status_code, answer.json()) == (404, {"error": f"this film's poster can't be shown: {reason}"})
    shown = ana.get("/film", id=film)
    assert shown.status_code == 200
    assert ("<img" in shown.text) == on_the_page


def test_without_pillow_no_poster_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "good.jpg", photograph())
    film: Any = {"record": json.dumps({"poster": str(path)})}
    shown = Posters(tmp_path)
    assert shown.may_show(film)
    for module in (posters, picture_files):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    assert not shown.may_show(film)
    with pytest.raises(Unseen, match=r"it needs Pillow: pip install 'motags\[media\]'"):
        shown.poster(film).jpeg()


@pytest.mark.slow
def test_a_film_is_shown_with_its_facts(ana: Client) -> None:
    shown = unescape(ana.get("/film", id=ID).text)
    for said in ("Poster of With all", "<dt>Director</dt>", "Charlie Chaplin", "<dt>Country</dt>", "A. Newcomer"):
        assert said in shown
    for unknown in ("Writer", "Length", "Language", "Compan"):
        assert f"<dt>{unknown}" not in shown


@pytest.mark.slow
def test_a_film_without_a_text_is_tagged_by_its_facts_and_says_why(
    ana: Client, page: Review, film_tagger_folder: Path
) -> None:
    shown = ana.get("/film", id="facts").text
    assert "This film has no text: what is suggested comes from what else is known of it." in shown
    tag = suggested(page, "facts")[0]
    why = ana.get("/why", id="facts", tag=tag).json()
    assert not why["text"].strip()
    assert '<span class="kind" dir="auto">facts</span>' in why["html"]
    assert '<span class="kind" dir="auto">text</span>' not in why["html"]
    assert "alike" not in why["html"]
    lists = {name: tuple(names) for name, names in CHAPLIN.items()}
    (reason,) = explain(Tagger.load(film_tagger_folder), Entry("facts", "Facts alone", "", lists), [tag])
    assert all((fact in unescape(why["html"])) == bool(stance(weight)) for fact, weight in reason.facts)
    assert any(stance(weight) for _, weight in reason.facts)


@pytest.mark.slow
def test_a_film_with_text_and_facts_says_what_both_say(ana: Client, page: Review) -> None:
    why = ana.get("/why", id=ID, tag=suggested(page, ID)[0]).json()
    assert re.sub(r"</?mark[^>]*>", "", why["text"]).strip() == "With all. A tramp finds a child."
    assert [source in why["html"] for source in (">text</span>", ">facts</span>")] == [True, True]


@pytest.mark.slow
def test_of_a_film_of_which_nothing_is_known_nothing_is_suggested_or_explained(ana: Client, page: Review) -> None:
    assert "so it suggests nothing" in ana.get("/film", id="bare").text
    assert suggested(page, "bare") == []
    answer = ana.get("/why", id="bare", tag=suggested(page, "facts")[0])
    assert (answer.status_code, answer.json()["error"]) == (404, "nothing that the model reads is known of this film")


@pytest.mark.slow
def test_a_search_finds_people_and_keeps_the_other_filters(ana: Client, page: Review) -> None:
    def titles(**query: str) -> list[str]:
        rows = ana.get("/", **query).text.split('class="film"')[1:]
        return [unescape(row.split('dir="auto">')[1].split("<")[0]) for row in rows]

    assert "The Kid" in titles(q="CHÀPLIN")
    assert sorted(titles(q="newcomer chaplin")) == ["Facts alone", "With all"]
    tag = suggested(page, "facts")[0]
    assert set(titles(q="chaplin", tag=tag, show="all")) <= set(titles(tag=tag, show="all"))
    assert titles(q="chaplin", show="mine") == []
    assert '<a href="/?show=all&amp;q=chaplin">' in ana.get("/", q="chaplin", show="mine").text
    assert 'class="people muted" dir="auto">A. Newcomer</span>' in ana.get("/", q="newcomer").text
    assert "q=newcomer" in ana.get("/", q="newcomer").text.split('class="film" href="')[1].split('"')[0]
    assert ana.get("/", q="x" * 200).status_code == 200
    assert ana.get("/", q="x" * 201).status_code == 422


def test_kinds_of_evidence_and_facts_are_said_in_plain_words() -> None:
    reason = Reason(
        0.7, 0.5, (("text", 2.0), ("facts", 0.3), ("poster", -0.9), ("trailer", 0.01)),
        (("director Ridley Scott", 0.8), ("cast <b>", -0.4), ("year 1979", 0.02)), (), (), (),
    )  # fmt: skip
    told = Pages().part("why", tag="heist", reason=reason)
    for source, said in [("text", "strongly for it"), ("facts", "a little for it"), ("poster", "speaks against it"),
                         ("trailer", "no difference")]:  # fmt: skip
        assert f"<span>{said}</span>" in told.split(f">{source}</span>")[1].split("</li>")[0]
    assert 'Facts that speak for it: <span class="facts" dir="auto">director Ridley Scott</span>.' in told
    assert 'Facts against it: <span class="facts" dir="auto">cast &lt;b&gt;</span>.' in told
    assert "1979" not in told
    assert "No film like it" not in told
