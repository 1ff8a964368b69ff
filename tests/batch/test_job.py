"""Films in, tags out: what is read, what is answered, and what is refused."""

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import MOTAGS, ROOT, as_csv, as_jsonl, as_parquet, motags, put, sample_films
from motags.artifacts import seal
from motags.batch.job import Chunk, Job, Shard
from motags.dataset.fuse import DatasetParams
from motags.films.text import Entry, TextRules
from motags.params import read_params
from motags.tagger.tagger import Tagger
from motags.tagger.training import TaggerParams

FILMS: list[dict[str, Any]] = [
    {"id": film["id"], "title": film["title"], "synopsis": film["synopsis"], "tags": []} for film in sample_films(12)
]
TEXTS = [str(film["synopsis"]) for film in FILMS]


@pytest.fixture(scope="module")
def tagger(tagger_folder: Path) -> Tagger:
    return Tagger.load(tagger_folder)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return put(tmp_path / "films.jsonl", as_jsonl(FILMS))


def tagged(folder: Path, *arguments: object, says: str = "") -> list[dict[str, Any]]:
    """What `motags tag` prints."""
    done = motags("tag", "--model", str(folder), *map(str, arguments))
    assert done.returncode == 0, done.stderr
    assert says in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tags_of(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(tag["tag"], tag["score"]) for tag in answer["tags"]]


def test_films_are_read_as_the_models_texts_were_chosen(tmp_path: Path, tagger_folder: Path) -> None:
    shutil.copytree(tagger_folder, tmp_path / "model")
    about = json.loads((tmp_path / "model/tagger.json").read_text())
    assert about["text"] == asdict(TextRules()) | {"fields": ["text"]}  # it learned from bare texts
    about["text"] |= {"text": "synopsis_first", "lead": False}
    (tmp_path / "model/tagger.json").write_text(json.dumps(about))
    seal(tmp_path / "model")
    plot, synopsis = (" ".join(TEXTS[row : row + 4]) for row in (0, 4))
    told = {"id": "1", "plot": plot, "synopsis": synopsis, "lead": TEXTS[8]}
    texts = [{"id": "1", "text": synopsis}, {"id": "1", "text": plot}]
    given = [put(tmp_path / f"{n}.jsonl", as_jsonl([film])) for n, film in enumerate([told, *texts])]
    own, by_synopsis, by_plot = (tagged(tmp_path / "model", film, "--all-scores") for film in given)
    assert own == by_synopsis != by_plot
    assert tagged(tmp_path / "model", given[0], "--all-scores", "--text", "plot_first") == by_plot
    only_lead = put(tmp_path / "lead.jsonl", as_jsonl([{"id": "1", "lead": TEXTS[8]}]))
    assert tagged(tmp_path / "model", only_lead) == [by_plot[0] | {"tags": [], "cluster": None}]


def test_a_line_says_the_tags_above_their_thresholds_best_first(
    films: Path, tagger: Tagger, tagger_folder: Path
) -> None:
    answers = tagged(tagger_folder, films, says="motags: tagged 12 films\n")
    scored = tagger.score(TEXTS)
    assert [(answer["id"], answer["title"]) for answer in answers] == [(film["id"], film["title"]) for film in FILMS]
    assert [list(answer) for answer in answers] == [["id", "title", "tags", "cluster", "model_version"]] * 12
    for answer, own, scores, cluster in zip(answers, tagger.tag(TEXTS), scored.scores, scored.clusters, strict=True):
        assert tags_of(answer) == [(tag, pytest.approx(score, abs=1e-4)) for tag, score in own]
        assert {tag for tag, _ in own} == {
            tag for tag, score, least in zip(tagger.tags_, scores, tagger.thresholds_, strict=True) if score >= least
        }
        assert [score for _, score in tags_of(answer)] == sorted((score for _, score in tags_of(answer)), reverse=True)
        assert (answer["cluster"], answer["model_version"]) == (cluster, tagger.version_)


def test_how_many_tags_is_for_the_caller_to_say(films: Path, tagger: Tagger, tagger_folder: Path) -> None:
    everything = tagged(tagger_folder, films, "--all-scores")
    assert all({tag for tag, _ in tags_of(answer)} == set(tagger.tags_) for answer in everything)
    best = [tags_of(answer)[:2] for answer in everything]
    assert [tags_of(answer) for answer in tagged(tagger_folder, films, "--all-scores", "--top", "2")] == best
    assert [tags_of(answer) for answer in tagged(tagger_folder, films, "--threshold", "1", "--min-tags", "2")] == best
    above = tagged(tagger_folder, films, "--threshold", "0.2")
    assert [tags_of(answer) for answer in above] == [
        [(tag, score) for tag, score in tags_of(answer) if score >= 0.2] for answer in everything
    ]


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv", "x.csv.gz", "x.parquet", "x.parquet.gz"])
def test_every_format_in_and_out_gives_the_same(tmp_path: Path, films: Path, tagger_folder: Path, name: str) -> None:
    content = {"jsonl": as_jsonl, "csv": as_csv, "parquet": as_parquet}[name.split(".")[1]](FILMS)
    path = put(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    expected = tagged(tagger_folder, films)
    output = tmp_path / f"tagged.{name.removeprefix('x.')}"
    assert tagged(tagger_folder, path, "--output", output) == []
    content = gzip.decompress(output.read_bytes()) if name.endswith(".gz") else output.read_bytes()
    if ".parquet" in name:
        rows = pq.read_table(pa.BufferReader(content)).to_pylist()
        for row in rows:
            row["tags"] = [{"tag": tag["tag"], "score": round(tag["score"], 4)} for tag in row["tags"]]
        assert rows == expected
    elif ".jsonl" in name:
        assert [json.loads(line) for line in content.splitlines()] == expected
    else:
        cells = list(csv.DictReader(content.decode().splitlines(), strict=True))
        assert [row["tags"] for row in cells] == ["|".join(tag for tag, _ in tags_of(answer)) for answer in expected]
        assert [row["scores"] for row in cells] == [
            "|".join(f"{score:.4f}" for _, score in tags_of(answer)) for answer in expected
        ]
        assert [int(row["cluster"]) for row in cells] == [answer["cluster"] for answer in expected]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted({"films.jsonl", name, output.name})


@pytest.mark.parametrize("form", [as_csv, as_parquet, lambda rows: gzip.compress(json.dumps(rows, indent=1).encode())])
def test_standard_input_is_any_of_these(films: Path, tagger_folder: Path, form: Any) -> None:
    command = [MOTAGS, "tag", "-", "--model", str(tagger_folder)]
    done = subprocess.run(command, input=form(FILMS), capture_output=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == tagged(tagger_folder, films)


def test_standard_input_of_json_lines_is_a_stream(films: Path, tagger_folder: Path) -> None:
    done = motags("tag", "-", "--model", str(tagger_folder), "--chunk", "1", stdin=films.read_text())
    assert [json.loads(line) for line in done.stdout.splitlines()] == tagged(tagger_folder, films)


def test_a_table_is_aligned_and_a_title_writes_nothing_else_on_the_terminal(
    tmp_path: Path, tagger_folder: Path
) -> None:
    odd = ["plain", "\x1b[31mred\r\n", "七人の侍", "x" * 60]
    rows = [{"id": str(i), "title": title, "text": TEXTS[0], "tags": []} for i, title in enumerate(odd)]
    path = put(tmp_path / "films.jsonl", as_jsonl(rows))
    done = motags("tag", str(path), "--model", str(tagger_folder), "--format", "table", "--min-tags", "1")
    head, *body = done.stdout.splitlines()
    assert head.split() == ["id", "title", "tags"]
    assert len(body) == 4
    assert not {"\x1b", "\r"} & set(done.stdout)
    assert body[0].split()[:2] == ["0", "plain"]
    assert body[2].index("七") == body[0].index("plain")
    assert "…" in body[3]


def test_what_a_spreadsheet_would_run_gets_an_apostrophe(tmp_path: Path, tagger_folder: Path) -> None:
    path = put(tmp_path / "films.jsonl", as_jsonl([{"id": "1", "title": "=1+1", "text": "A film.", "tags": []}]))
    done = motags("tag", str(path), "--model", str(tagger_folder), "--format", "csv")
    assert "1,'=1+1," in done.stdout


LONG = "word " * 60
READ = [
    ({"text": "T", "plot": LONG, "synopsis": "S"}, "synopsis_first", "T"),
    ({"plot": LONG, "synopsis": "S"}, "synopsis_first", "S"),
    ({"plot": LONG, "synopsis": " "}, "synopsis_first", LONG),
    ({"plot": LONG, "synopsis": "S"}, "plot_first", LONG),
    ({"plot": "P", "synopsis": "S"}, "plot_first", "S"),
    ({"plot": "P", "synopsis": "S"}, "both", "S P"),
    ({"plot": None, "lead": "L"}, "plot_first", "L"),
    ({"text": "a\u0000b\r\ncafe\u0301"}, "both", "a b café"),
    ({"text": float("nan")}, "both", ""),
    ({}, "both", ""),
]


@pytest.mark.parametrize(("fields", "order", "text"), READ)
def test_the_text_is_the_one_that_training_would_read(fields: dict[str, Any], order: Any, text: str) -> None:
    row = {"id": 7, "title": " A ", "tagline": " Run "} | fields
    assert TextRules(order, fields=("text",)).entry(row) == Entry("7", "A", text.strip())
    assert TextRules(order).entry(row) == Entry("7", "A", f"A. Run {text}".strip())


TITLES = [
    ("Heat", None, "Text", "Heat. Text"), ("Who?", "Go", "", "Who? Go"), (None, None, "Text", "Text"),
    ("Heat", None, "", ""), (None, "Go", "", "Go"), ("A\u0000 B", None, "T", "A B. T"),
]  # fmt: skip


@pytest.mark.parametrize(("title", "tagline", "text", "joined"), TITLES)
def test_a_title_alone_is_no_text(title: str | None, tagline: str | None, text: str, joined: str) -> None:
    assert TextRules().joined(title, tagline, text) == joined


def test_texts_are_read_with_the_numbers_of_params_yaml() -> None:
    sections = read_params(ROOT / "params.yaml", {"dataset": DatasetParams, "tagger": TaggerParams})
    assert TextRules() == TextRules.of(sections["dataset"], sections["tagger"].fields)


def test_a_film_without_a_text_gets_no_tags_whatever_is_asked_for(tmp_path: Path, tagger_folder: Path) -> None:
    rows = [{"id": "a", "title": "A", "text": ""}, {"id": "b", "text": TEXTS[0]}, {"id": "c", "title": None}]
    path = put(tmp_path / "films.jsonl", as_jsonl(rows))
    answers = tagged(
        tagger_folder, path, "--min-tags", "3", says="2 of them have no text: tagged by what else is known"
    )
    assert [(len(answer["tags"]) >= 3, answer["cluster"] is None) for answer in answers] == [
        (False, True), (True, False), (False, True),
    ]  # fmt: skip
    assert answers[0]["tags"] == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "x", "title"', "not a line of JSON: "),
        (b'{"id": "x", "id": "y"}', "not a line of JSON: an object names 'id' twice"),
        (b"[" * 100_000, "not a line of JSON: "),
        (b'{"id": "x", "text": "' + b"x" * 2**24 + b'"}', "not a line of JSON: longer than 16 MiB"),
        (b'["x"]', "a list where an object is expected"),
        (b'{"title": "X"}', "id: there is none"),
        (b'{"id": NaN}', "id: there is none"),
        (b'{"id": 1.5}', "id: text is expected (got '1.5')"),
        (b'{"id": true}', "id: text is expected (got 'True')"),
        (b'{"id": "x", "text": ["T"]}', "text: text is expected"),
        (b'{"id": "x", "plot": {"a": 1}}', "plot: text is expected"),
        (b'{"id": "x", "synopsis": "\\ud800"}', "synopsis: not valid UTF-8"),
    ],
)
def test_a_row_that_can_not_be_used_is_told_with_its_line(tmp_path: Path, line: bytes, reason: str) -> None:
    good = as_jsonl(FILMS[:2]).splitlines()
    job = Job(put(tmp_path / "films.jsonl", b"\xef\xbb\xbf" + b"\n".join([good[0], b"", line, good[1]])), chunk=2)
    chunks = list(job.chunks())
    assert [film.id for chunk in chunks for film in chunk.films] == [film["id"] for film in FILMS[:2]]
    (row,) = [row for chunk in chunks for row in chunk.aside]
    assert row.where == "films.jsonl, line 3"
    assert row.reason.startswith(reason)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.jsonl", None, "none.jsonl is missing, or no file"),
        ("x.jsonl", b"\n \n", "x.jsonl holds no films"),
        ("x.csv", b"id,title\n", "x.csv holds no films"),
        ("x.csv", b"id,title,id\na,A,b\n", "x.csv: its header names 'id' twice: keep one of the columns"),
        ("x.csv", b'id,title\n"a,A\n', "x.csv can't be read as CSV: "),
        ("x.txt", b"a", "a catalogue ends in .jsonl, .ndjson, .json, .csv"),
        ("x.parquet", b"PAR1", "x.parquet can't be read as parquet: "),
        ("x.jsonl.gz", gzip.compress(as_jsonl(FILMS))[:-40], "x.jsonl.gz can't be read as JSON: "),
        ("x.jsonl", b'{"id": "a", "text": "A."}\n[]', "1 of 2 films can't be used, more than --max-set-aside 0.05"
         " allows; the first is x.jsonl, line 2: a list where an object is expected"),
    ],
)  # fmt: skip
def test_a_file_that_can_not_be_used_is_one_line(
    tmp_path: Path, tagger_folder: Path, name: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = motags("tag", str(path), "--model", str(tagger_folder), "--output", str(tmp_path / "out.jsonl"))
    *told, last = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert says in last
    assert [line.split(":")[0] for line in told] == ["motags"] * len(told)
    begun = ["out.jsonl.partial"] if "more than" in says else []
    assert [file.name for file in tmp_path.iterdir() if file != path] == begun


def test_a_file_name_that_is_no_utf8_is_told_with_marks(tmp_path: Path) -> None:
    path = put(tmp_path / "caf\udce9.jsonl", as_jsonl(FILMS[:1]) + b"7\n")
    (chunk,) = Job(path).chunks()
    assert chunk.aside[0].where == "caf\N{REPLACEMENT CHARACTER}.jsonl, line 2"


def test_rows_set_aside_are_told_and_kept_beside_the_output(tmp_path: Path, tagger_folder: Path) -> None:
    path = put(tmp_path / "films.jsonl", as_jsonl(FILMS) + b"7\n" * 7)
    output = tmp_path / "out.jsonl"
    call = ("tag", str(path), "--model", str(tagger_folder), "--output", str(output), "--chunk", "5")
    refused = motags(*call)
    assert "7 of 19 films can't be used, more than --max-set-aside 0.05" in refused.stderr
    assert not output.exists()
    done = motags(*call, "--max-set-aside", "0.5")  # what was tagged is not tagged again
    assert done.stderr == f"motags: tagged 12 films; 7 rows can't be used: {output}.set_aside.jsonl\n"
    aside = lines(tmp_path / "out.jsonl.set_aside.jsonl")
    assert [row["where"] for row in aside] == [f"films.jsonl, line {line}" for line in range(13, 20)]
    assert len(lines(output)) == 12
    path.write_bytes(as_jsonl(FILMS))
    assert motags(*call).returncode == 0
    assert not (tmp_path / "out.jsonl.set_aside.jsonl").exists()


def ids(chunks: Iterator[Chunk]) -> list[str]:
    return [film.id for chunk in chunks for film in chunk.films]


@settings(max_examples=60)
@given(rows=st.integers(1, 40), of=st.integers(1, 9), chunk=st.integers(1, 7), done=st.integers(0, 45))
def test_the_parts_of_a_catalogue_are_every_film_once(
    tmp_path_factory: pytest.TempPathFactory, rows: int, of: int, chunk: int, done: int
) -> None:
    path = tmp_path_factory.mktemp("parts") / "films.jsonl"
    path.write_text("\n\n".join(json.dumps({"id": row, "text": "t"}) for row in range(1, rows + 1)))
    parts = [ids(Job(path, shard=Shard(i, of), chunk=chunk).chunks()) for i in range(1, of + 1)]
    assert sorted(int(film) for part in parts for film in part) == list(range(1, rows + 1))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    rest = [ids(Job(path, shard=Shard(i, of), chunk=chunk).chunks(done)) for i in range(1, of + 1)]
    assert rest == [[film for film in part if int(film) > done] for part in parts]


def test_two_parts_are_tagged_as_the_whole_is(films: Path, tagger_folder: Path) -> None:
    parts = [tagged(tagger_folder, films, "--shard", f"{i}/2") for i in (1, 2)]
    whole = tagged(tagger_folder, films)
    assert parts == [whole[0::2], whole[1::2]]


PEAK = """
import sys
from motags.commands.cli import app
try:
    app()
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux")
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_memory_does_not_grow_with_the_catalogue(tmp_path: Path, tagger_folder: Path, kind: str) -> None:
    peaks = []
    for n in (2_000, 60_000):
        rows = [
            {"id": str(row), "title": "A", "lead": None, "note": os.urandom(500).hex(), "tags": []} for row in range(n)
        ]
        content = {"jsonl": as_jsonl, "csv": as_csv, "parquet": as_parquet}[kind](rows)
        path = put(tmp_path / f"{n}.{kind}", content)
        call = ["tag", path, "--model", tagger_folder, "--output", tmp_path / f"out.{kind}", "--chunk", "4096"]
        done = subprocess.run([sys.executable, "-c", PEAK, *map(str, call)], check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 30  # MB; the larger file holds 60 MB
