"""A run that is stopped, killed or out of disk goes on, and ends with the bytes of one that was not."""

import json
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import MOTAGS, TEXT_FILMS, as_csv, as_jsonl, journal, motags, put
from motags.batch.job import Choice, Chunk, Engine, Job, TaggedFilm, here
from motags.batch.output import provenance_of, tag_to_file
from motags.errors import MotagsError
from motags.tagger.tagger import Tagger

BAD = b"7\n"


class PowerCutError(Exception):
    """In the place of a power cut."""


@pytest.fixture(scope="module")
def tagger(tagger_folder: Path) -> Tagger:
    return Tagger.load(tagger_folder)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    content = as_jsonl(TEXT_FILMS).splitlines(keepends=True)
    return put(tmp_path / "films.jsonl", b"".join([*content[:5], BAD, *content[5:]]))


def call(folder: Path, films: Path, output: Path, *options: str) -> list[str]:
    """`motags tag` in many small chunks."""
    return ["tag", str(films), "--model", str(folder), "--output", str(output), "--chunk", "1", *options]


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_a_folder_that_no_run_made_is_left_as_it_is(tmp_path: Path, films: Path, tagger_folder: Path) -> None:
    mine = tmp_path / "out.jsonl.partial"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    (mine / "answers.jsonl").write_text("mine too")
    before = files(mine)
    done = motags(*call(tagger_folder, films, tmp_path / "out.jsonl"))
    assert (done.returncode, done.stderr) == (
        1, f"motags: {mine} holds 'notes.txt', which motags did not write: name another output\n"
    )  # fmt: skip
    assert files(mine) == before


@pytest.fixture
def whole(tmp_path: Path, films: Path, tagger_folder: Path) -> dict[str, bytes]:
    """What a run makes that nothing stopped."""
    (tmp_path / "whole").mkdir()
    done = motags(*call(tagger_folder, films, tmp_path / "whole/out.jsonl"))
    assert done.returncode == 0, done.stderr
    return files(tmp_path / "whole")


def stopping(engine: Engine, after: int) -> Engine:
    """An engine that stops after so many chunks."""

    def stopped(chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, list[TaggedFilm]]]:
        for number, made in enumerate(engine(chunks)):
            if number == after:
                raise PowerCutError
            yield made

    return stopped


@settings(max_examples=25)
@given(
    n=st.integers(1, 24),
    chunks=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    stops=st.lists(st.integers(0, 4), max_size=3),
    bad=st.sets(st.integers(0, 23), max_size=4),
    kind=st.sampled_from(["jsonl", "csv", "parquet"]),
    torn=st.binary(max_size=30),
)
def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(
    tmp_path_factory: pytest.TempPathFactory, tagger: Tagger,
    n: int, chunks: list[int], stops: list[int], bad: set[int], kind: str, torn: bytes,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("run")
    rows = [BAD if row in bad else as_jsonl([TEXT_FILMS[row]]) for row in range(n)]
    films = put(folder / "films.jsonl", b"".join(rows))
    engine = here(tagger, Choice(least=1))
    source = provenance_of(Job(films), Choice(least=1), tagger.version_, "int8")
    made = [folder / "a" / f"out.{kind}", folder / "b" / f"out.{kind}"]
    tag_to_file(Job(films, chunk=chunks[0], max_set_aside=1.0), engine, made[0], kind, source)
    for number, after in enumerate(stops):
        job = Job(films, chunk=chunks[number % len(chunks)], max_set_aside=1.0)
        try:
            tag_to_file(job, stopping(engine, after), made[1], kind, source)
        except PowerCutError:
            partial = folder / "b" / f"out.{kind}.partial"
            partial.mkdir(exist_ok=True)  # it is gone where nothing was done
            with (partial / "answers.jsonl").open("ab") as file:
                file.write(torn)  # of a chunk that the journal does not count
    tag_to_file(Job(films, chunk=chunks[-1], max_set_aside=1.0), engine, made[1], kind, source)
    assert files(folder / "a") == files(folder / "b")
    assert {file.name for file in (folder / "b").iterdir()} == files(folder / "b").keys()


def stop(command: list[str], output: Path, after: int, how: signal.Signals) -> subprocess.Popen[str]:
    """Start a run, and stop it as soon as its journal counts so many films."""
    process = subprocess.Popen([MOTAGS, *command], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and journal(output)["count"]["films"] < after:
        time.sleep(0.001)
    process.send_signal(how)
    process.wait()
    return process


def test_kills_at_many_points_lose_and_double_nothing(
    tmp_path: Path, films: Path, tagger_folder: Path, whole: dict[str, bytes]
) -> None:
    (tmp_path / "killed").mkdir()
    output = tmp_path / "killed/out.jsonl"
    command = call(tagger_folder, films, output)
    codes = [stop(command, output, after, signal.SIGKILL).returncode for after in (0, 1, 9, 24, 40, 58)]
    assert set(codes) <= {-signal.SIGKILL, 0}  # it may be done before it is killed
    assert codes.count(-signal.SIGKILL) >= 3
    assert motags(*command).returncode == 0
    assert files(tmp_path / "killed") == whole


def test_a_kill_at_the_very_end_changes_nothing(
    tmp_path: Path, films: Path, tagger_folder: Path, whole: dict[str, bytes]
) -> None:
    (tmp_path / "killed").mkdir()
    output = tmp_path / "killed/out.jsonl"
    command = call(tagger_folder, films, output)
    stop(command, output, 60, signal.SIGKILL)
    output.write_bytes(whole["out.jsonl"])  # it was renamed, and the folder not yet removed
    assert motags(*command).returncode == 0
    assert files(tmp_path / "killed") == whole


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(tmp_path: Path, tagger_folder: Path) -> None:
    many = [film | {"id": f"{film['id']}-{copy}"} for copy in range(8) for film in TEXT_FILMS]
    films = put(tmp_path / "many.jsonl", as_jsonl(many))
    output, whole = tmp_path / "stopped/out.jsonl", tmp_path / "whole/out.jsonl"
    output.parent.mkdir()
    whole.parent.mkdir()
    command = call(tagger_folder, films, output)
    process = stop(command, output, 9, signal.SIGINT)
    assert process.stderr
    said = process.stderr.read().split("\n")
    assert process.returncode == 130
    assert "motags: stopped; the same command goes on or starts again" in said
    assert "Traceback" not in "".join(said)
    before = journal(output)["count"]["films"]
    assert 9 <= before < len(many)
    assert motags(*command, "--threads", "1").returncode == 0
    assert motags(*call(tagger_folder, films, whole)).returncode == 0
    assert files(output.parent) == files(whole.parent)


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    tmp_path: Path, films: Path, tagger_folder: Path, whole: dict[str, bytes]
) -> None:
    (tmp_path / "full").mkdir()
    output = tmp_path / "full/out.jsonl"
    command = call(tagger_folder, films, output)

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

    done = subprocess.run(
        [MOTAGS, *command],
        preexec_fn=little_room,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "can't be written: File too large" in done.stderr.splitlines()[-1]
    assert motags(*command).returncode == 0
    assert files(tmp_path / "full") == whole


Change = Callable[[Path], list[str]]


def other_films(films: Path) -> list[str]:
    films.write_bytes(as_jsonl(TEXT_FILMS[1:]))
    return []


CHANGES: list[tuple[str, Change]] = [
    ("another catalogue", other_films),
    ("another choice of tags", lambda _: ["--top", "1"]),
    ("another choice of tags", lambda _: ["--all-scores"]),
    ("another backend", lambda _: ["--backend", "float32"]),
    ("another shard", lambda _: ["--shard", "1/2"]),
    ("another text", lambda _: ["--text", "both"]),
]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, tagger_folder: Path) -> Path:
    """A folder with films and a run that was killed."""
    folder = tmp_path_factory.mktemp("begun")
    films = put(folder / "films.jsonl", as_jsonl(TEXT_FILMS))
    stop(call(tagger_folder, films, folder / "out.jsonl"), folder / "out.jsonl", 9, signal.SIGKILL)
    return folder


@pytest.mark.parametrize(("says", "change"), CHANGES)
def test_another_run_is_not_mixed_with_one_that_was_killed(
    tmp_path: Path, begun: Path, tagger_folder: Path, says: str, change: Change
) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "begun"))
    options = change(folder / "films.jsonl")
    done = motags(*call(tagger_folder, folder / "films.jsonl", folder / "out.jsonl", *options))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"films of a run with {says}: run that again to go on with it, or remove that folder" in done.stderr
    assert not (folder / "out.jsonl").exists()
    assert journal(folder / "out.jsonl")["count"]["films"] >= 9
    shutil.rmtree(folder / "out.jsonl.partial")
    assert motags(*call(tagger_folder, folder / "films.jsonl", folder / "out.jsonl", *options)).returncode == 0


def test_another_format_may_be_asked_for_when_a_run_goes_on(tmp_path: Path, begun: Path, tagger_folder: Path) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "begun"))
    done = motags(*call(tagger_folder, folder / "films.jsonl", folder / "out.jsonl", "--format", "csv"))
    assert done.stderr == "motags: tagged 60 films\n"
    assert (folder / "out.jsonl").read_text().startswith("\ufeffid,title,tags,scores,cluster,model_version")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "journal.json").write_text("{"),
        lambda folder: (folder / "journal.json").write_text("[]"),
        lambda folder: (folder / "journal.json").write_text('{"made_from": {}, "count": {"rows": 1}}'),
        lambda folder: (folder / "answers.jsonl").write_text(""),
        lambda folder: (folder / "answers.jsonl").unlink(),
    ],
)
def test_a_damaged_journal_is_one_line(
    tmp_path: Path, begun: Path, tagger_folder: Path, damage: Callable[[Path], Any]
) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "begun"))
    damage(folder / "out.jsonl.partial")
    done = motags(*call(tagger_folder, folder / "films.jsonl", folder / "out.jsonl"))
    assert done.returncode == 1
    assert done.stderr == f"motags: {folder / 'out.jsonl.partial'} is damaged: remove it to begin anew\n"


def test_two_processes_do_not_write_one_output(
    tmp_path: Path, films: Path, tagger: Tagger, tagger_folder: Path
) -> None:
    output = tmp_path / "out.jsonl"
    source = provenance_of(Job(films), Choice(), tagger.version_, "int8")

    def other(chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, list[TaggedFilm]]]:
        done = motags(*call(tagger_folder, films, output))
        assert (done.returncode, done.stderr) == (
            1, f"motags: another process makes {output}: wait for it, or name another output\n",
        )  # fmt: skip
        return here(tagger, Choice())(chunks)

    tag_to_file(Job(films), other, output, "jsonl", source)
    assert len(output.read_text().splitlines()) == 60


def test_what_comes_from_standard_input_begins_anew(tmp_path: Path, tagger_folder: Path) -> None:
    output = tmp_path / "out.jsonl"
    command = ["tag", "-", "--model", str(tagger_folder), "--output", str(output), "--chunk", "2"]
    refused = motags(*command, stdin=as_jsonl(TEXT_FILMS[:4]).decode() + "7\n")
    assert "can't be used" in refused.stderr
    assert motags(*command, "--top", "3", stdin=as_jsonl(TEXT_FILMS[4:8]).decode()).returncode == 0
    assert [json.loads(line)["id"] for line in output.read_text().splitlines()] == ["4", "5", "6", "7"]
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_place_that_can_not_be_written_to_is_named(tmp_path: Path, films: Path, tagger: Tagger) -> None:
    (tmp_path / "file").write_text("")
    source = provenance_of(Job(films), Choice(), tagger.version_, "int8")
    with pytest.raises(MotagsError, match=r"out\.jsonl\.partial can't be written: Not a directory"):
        tag_to_file(Job(films), here(tagger, Choice()), tmp_path / "file/out.jsonl", "jsonl", source)


def test_a_csv_is_gone_on_with_too(tmp_path: Path, tagger_folder: Path) -> None:
    films = put(tmp_path / "films.csv", as_csv([film | {"title": f'{film["title"]}\n"x"'} for film in TEXT_FILMS]))
    outputs = [tmp_path / "whole.csv.gz", tmp_path / "killed.csv.gz"]
    killed = stop(call(tagger_folder, films, outputs[1]), outputs[1], 12, signal.SIGKILL)
    assert (killed.returncode, outputs[1].exists()) == (-signal.SIGKILL, False)
    for output in outputs:
        assert motags(*call(tagger_folder, films, output)).returncode == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
