"""`motags explain`, `suggest` and `audit`, as a user types them; what they say is tested with their modules."""

import csv
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builders import MOTAGS, as_jsonl, motags, put, sample_films
from motags.active_learning.explain import explain
from motags.tagger.tagger import Tagger

FILMS: list[dict[str, Any]] = [
    {"id": f"new-{row}", "title": film["title"], "synopsis": film["synopsis"], "tags": []}
    for row, film in enumerate(sample_films(12))
]


@pytest.fixture(scope="module")
def tagger(tagger_folder: Path) -> Tagger:
    return Tagger.load(tagger_folder)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return put(tmp_path / "films.jsonl", as_jsonl([{"id": "blank", "title": "\x1bB", "tags": []}, *FILMS]))


def said(*words: object) -> list[str]:
    """The lines that a command prints."""
    done = motags(*map(str, words))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_explain_names_words_films_and_cluster(films: Path, tagger: Tagger, tagger_folder: Path) -> None:
    tags = tagger.tags_[:2]
    lines = said("explain", films, "--model", tagger_folder, "--film", "new-3", "--tag", tags[0], "--tag", tags[1])
    assert lines[0] == f"{FILMS[3]['title']} (new-3)"
    text = " ".join(str(FILMS[3]["synopsis"]).split())
    for tag in tags:
        why = explain(Tagger.load(tagger_folder, "float32"), text, [tag])[0]
        first = lines.index(f"{tag} {why.score:.2f} (given from {why.threshold:.2f})")
        start, end, weight = max(why.words, key=lambda word: abs(word[2]))
        assert lines[first + 1] == f"  by       text {why.sources[0][1]:+.2f}"
        assert lines[first + 2].startswith(f"  words    {text[start:end]} {weight:+.2f}, ")
        like = lines[first + 3 : first + 3 + len(why.films)]
        assert [line.split()[0] for line in like] == ["like"] * len(why.films)
        assert all(f"({id_})" in line for line, (id_, _, _) in zip(like, why.films, strict=True))
        assert lines[first + 3 + len(why.films)].startswith(f"  cluster  {why.cluster}: ")


def test_explain_takes_the_first_film_that_has_a_text_and_its_tags(films: Path, tagger_folder: Path) -> None:
    lines = said("explain", films, "--model", tagger_folder)
    assert lines[0] == f"{FILMS[0]['title']} (new-0)"
    assert sum("(given from" in line for line in lines) >= 1


def test_suggest_writes_a_queue_or_shows_it(tmp_path: Path, films: Path, tagger_folder: Path) -> None:
    call = ("suggest", films, "--model", tagger_folder, "--films", 5)
    head, *rows = said(*call)
    assert head.split() == ["id", "title", "for"]
    assert said(*call, "--output", tmp_path / "queue.csv") == []
    queue = [row["id"] for row in table(tmp_path / "queue.csv")]
    assert [row.split()[0] for row in rows] == queue
    assert len(set(queue)) == 5
    assert "blank" not in queue


def test_audit_writes_suspects_or_shows_them(tmp_path: Path, tagger: Tagger, tagger_folder: Path) -> None:
    call = ("audit", "--model", tagger_folder, "--top", 7, "--tag", tagger.tags_[0])
    head, *rows = said(*call)
    assert head.split() == ["id", "title", "tag", "problem", "score", "doubt"]
    assert said(*call, "--output", tmp_path / "suspects.csv") == []
    found = table(tmp_path / "suspects.csv")
    assert [row.split()[0] for row in rows] == [row["id"] for row in found]
    assert {row["tag"] for row in found} == {tagger.tags_[0]}
    assert len(found) == 7


def test_suggest_does_not_write_over_its_catalogue(films: Path, tagger_folder: Path) -> None:
    before = films.read_bytes()
    done = motags("suggest", str(films), "--model", str(tagger_folder), "--output", str(films))
    assert (done.returncode, done.stderr) == (1, f"motags: {films} is the catalogue itself: name another output\n")
    assert films.read_bytes() == before


def test_letters_that_the_terminal_has_not_are_question_marks(tmp_path: Path, tagger_folder: Path) -> None:
    films = put(tmp_path / "films.jsonl", as_jsonl([FILMS[0] | {"title": "七人の侍"}]))
    command = [MOTAGS, "explain", str(films), "--model", str(tagger_folder)]
    env = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"???? (new-0)\n")


@pytest.mark.parametrize("words", [["suggest"], ["explain", "--film", "a"]])
def test_rows_that_can_not_be_used_are_told(tmp_path: Path, tagger_folder: Path, words: list[str]) -> None:
    nameless = put(tmp_path / "films.csv", b"id,title,text\n,One,A text.\n,Two,Another.\n")
    done = motags(words[0], str(nameless), *words[1:], "--model", str(tagger_folder))
    assert (done.returncode, done.stdout) == (1, "")
    assert "2 of 2 films can't be used, more than --max-set-aside 0.05" in done.stderr.splitlines()[-1]


def test_suggest_says_where_nothing_is_left(tmp_path: Path, tagger: Tagger, tagger_folder: Path) -> None:
    known = put(tmp_path / "known.jsonl", as_jsonl([FILMS[0] | {"id": tagger.films_.ids[0]}]))
    done = motags("suggest", str(known), "--model", str(tagger_folder))
    assert done.returncode == 1
    assert done.stderr.endswith("known.jsonl: nothing is left to suggest\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["explain", "FILMS", "--film", "none"], "has no film 'none' with a text"),
        (["explain", "FILMS", "--film", "blank"], "has no film 'blank' with a text"),
        (["explain", "FILMS", "--tag", "none"], "'none' is not one of the model's"),
        (["explain", "none.jsonl"], "none.jsonl is missing"),
        (["suggest", "none.jsonl"], "none.jsonl is missing"),
        (["suggest", "-"], "standard input holds no films"),
        (["audit", "--tag", "none"], "'none' is not a tag of this model"),
        (["audit", "--output", "/proc/none/x.csv"], "/proc/none"),
    ],
)
def test_mistakes_are_one_line(films: Path, tagger_folder: Path, words: list[str], says: str) -> None:
    done = motags(*(str(films) if word == "FILMS" else word for word in words), "--model", str(tagger_folder))
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
