"""`motags check`, and how every command takes a catalogue that is half broken or is called otherwise."""

import json
from pathlib import Path

import pytest

from builders import motags, put

TABLE = """film;Titel;overview;tags;extra
a;Müller;A miller hides a deserter from the soldiers.;Drama|War;1
b;Café;Two dancers fall in love on a cruise.;N/A;2
c;;A story without a title.;War;3
""".encode("cp1252")


def test_check_says_what_is_understood(tmp_path: Path) -> None:
    path = put(tmp_path / "films.csv", TABLE)
    call = ["check", str(path), "--column", "id=film", "--column", "title=Titel"]
    done = motags(*call, "--max-set-aside", "0.5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "films.csv: columns id = film, title = Titel, synopsis = overview, tags = tags",
        "  encoding cp1252, as 'Müller' in line 2 shows",
        "  cells are separated by a semicolon",
        "  columns taken: id = film, title = Titel, synopsis = overview",
        "  1 cells say nothing (\\N, N/A and the like)",
        "  columns ignored: extra",
        "2 films: synopsis 2, tags 1; 2 tags in all",
        "1 rows set aside: title 1",
        "  films.csv, line 4: title: Input should be a valid string (got 'None')",
        "first films:",
        "  a: Müller | Drama, War | A miller hides a deserter from the soldiers.",
        "  b: Café | no tags | Two dancers fall in love on a cruise.",
    ]
    refused = motags(*call)
    assert refused.returncode == 1
    assert "1 of 3 films can't be used, more than --max-set-aside 0.05 allows" in refused.stderr


@pytest.mark.parametrize("command", [["check"], ["tag"], ["suggest"], ["review", "--port", "0"]])
def test_a_half_broken_catalogue_is_refused_alike(tmp_path: Path, tagger_folder: Path, command: list[str]) -> None:
    rows = [{"id": str(n), "title": "A", "text": "A film about a war."} for n in range(6)]
    path = put(tmp_path / "films.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode() + b"7\n" * 6)
    model = [] if command == ["check"] else ["--model", str(tagger_folder)]
    own = ["--decisions", str(tmp_path / "r.sqlite")] if command[0] == "review" else []
    done = motags(command[0], str(path), *command[1:], *model, *own)
    assert done.returncode == 1
    assert "6 of 12 films can't be used, more than --max-set-aside 0.05 allows" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (["tag", "films.csv"], "no model in models/tagger: give the folder of one by --model"),
        (["check", "films.csv", "--column", "story=x"], "give OURS=THEIRS, where OURS is one of id, title"),
        (["check", "none.csv"], "none.csv is missing, or no file"),
    ],
)
def test_a_mistake_is_told_in_a_line(tmp_path: Path, call: list[str], says: str) -> None:
    put(tmp_path / "films.csv", b"id,title,plot\na,A,P\n")
    done = motags(*call, cwd=tmp_path)
    assert done.returncode in {1, 2}
    (line,) = done.stderr.splitlines()
    assert says in line


def test_a_title_in_the_place_of_an_id_is_told(tmp_path: Path, tagger_folder: Path) -> None:
    put(tmp_path / "films.csv", b"id,title,plot\nheat-1995,Heat,A robbery in a city.\n")
    done = motags("explain", "films.csv", "--film", "heat", "--model", str(tagger_folder), cwd=tmp_path)
    assert done.stderr == "motags: 'heat' is a title: give the film's id, --film heat-1995\n"
