"""The command line, as a user types it."""

import json
import resource
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

from builders import MOTAGS, ROOT, motags
from motags.artifacts import seal
from motags.commands.cli import app
from motags.evaluation.rows import COLUMNS, ROWS
from motags.sources.store import opened


def some_metrics(path: Path) -> Path:
    path.write_text(json.dumps({row.key: dict.fromkeys(COLUMNS, 0.125) for row in ROWS}))
    return path


def test_results_prints_a_row_a_method(tmp_path: Path) -> None:
    done = motags("results", str(some_metrics(tmp_path / "metrics.json")))
    assert done.returncode == 0
    for row in ROWS:
        line = next(line for line in done.stdout.splitlines() if line.strip().startswith(f"{row.label} "))
        assert line.count("0.125") == len(COLUMNS)


def test_results_fits_a_terminal_of_80_columns(tmp_path: Path) -> None:
    done = motags("results", str(some_metrics(tmp_path / "metrics.json")))
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_results_prints_markdown(tmp_path: Path) -> None:
    done = motags("results", "--markdown", str(some_metrics(tmp_path / "metrics.json")))
    lines = done.stdout.splitlines()
    assert lines[0].startswith("| method | micro F1 |")
    assert len(lines) == 2 + len(ROWS)


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("[1]")
    for path, says in ((tmp_path / "none.json", "is missing"), (other, "holds no metrics")):
        done = motags("results", str(path))
        assert done.returncode == 1
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


COMMANDS = sorted(app.commands)
HEAVY = ("torch", "pandas", "sklearn", "scipy", "transformers", "pydantic", "pyarrow", "rich", "ray", "fastapi")


def without(packages: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run motags where some packages are not installed."""
    code = f"import sys; sys.modules.update(dict.fromkeys({packages!r})); from motags.commands.cli import app; app()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_needs_no_training_stack_for_it(command: str) -> None:
    done = without(HEAVY, command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"motags {command}" in done.stdout.split("Example")[1]


def processor_seconds() -> float:
    """What the processes started here have taken so far; unlike the clock, it knows no busy neighbours."""
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_starts_in_under_half_a_second(command: str) -> None:
    before = processor_seconds()
    assert motags(command, "--help").returncode == 0
    assert processor_seconds() - before < 0.5


def test_the_version_is_said() -> None:
    assert motags("--version").stdout == f"motags {version('motags')}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tga"], "motags: No such command 'tga'"),
        (["results", "--markdwon"], "motags: No such option '--markdwon'"),
        (["tag", "x.jsonl", "--top", "0"], "motags: Invalid value for '--top': 0 is not in the range x>=1"),
        (["tag", "x.jsonl", "--shard", "3/2"], "motags: Invalid value for '--shard': '3/2' is no part such as 1/4"),
        (["tag", "x.jsonl", "--top", "2", "--min-tags", "3"], "motags: --top 2 is less than --min-tags 3"),
        (["tag", "x.jsonl", "--all-scores", "--threshold", "0.1"], "motags: --all-scores gives every tag"),
        (["tag", "x.jsonl", "--threshold", "nan"], "motags: --threshold is no number"),
        (["tag", "x.jsonl", "--max-set-aside", "nan"], "motags: --max-set-aside is no number"),
        (["tag", "x.jsonl", "--format", "parquet"], "motags: parquet goes into a file: name it by --output"),
    ],
)
def test_a_wrong_call_is_one_line(words: list[str], says: str) -> None:
    done = motags(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says)
    assert len(done.stderr.splitlines()) == 1


def test_other_mistakes_of_tag_are_one_line(tmp_path: Path) -> None:
    films = tmp_path / "films.jsonl"
    films.write_text('{"id": "a"}\n')
    for words, says in (
        ([str(films), "--output", str(films)], "is the catalogue itself: name another output"),
        ([str(films), "--output", str(tmp_path / "out.txt")], "ends in no .jsonl, .csv or .parquet"),
        ([str(films), "--output", str(tmp_path), "--format", "csv"], "is a folder: name a file"),
        ([str(films), "--model", str(tmp_path / "none")], f"no model in {tmp_path / 'none'}: "),
    ):
        done = motags("tag", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_an_extra_that_is_missing_is_named(tmp_path: Path, tagger_folder: Path) -> None:
    films = tmp_path / "films.jsonl"
    films.write_text('{"id": "a", "text": "A film."}\n')
    call = ["tag", str(films), "--model", str(tagger_folder)]
    base = without(HEAVY, *call)
    assert (base.returncode, base.stderr) == (0, "motags: tagged 1 films\n")
    metrics = str(some_metrics(tmp_path / "metrics.json"))
    for words, package, extra in (
        ([*call, "--output", str(tmp_path / "out.parquet")], "pyarrow", "parquet"),
        ([*call, "--engine", "ray"], "ray", "ray"),
        ([*call, "--backend", "torch"], "torch", "train"),
        (["results", metrics], "rich", "train"),
        (["expire"], "", "train"),
    ):
        done = without(HEAVY, *words)
        assert done.returncode == 1
        assert f"pip install 'motags[{extra}]'" in done.stderr
        assert f"needs {package}" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.parquet.partial").exists()
    assert without(HEAVY, "results", "--markdown", metrics).returncode == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    assert "_MOTAGS_COMPLETE" in motags("completion", shell).stdout
    for line, word, expected in (("motags ", "", COMMANDS), ("motags tag --sh", "--sh", ["--shard"])):
        where = str(len(line.split()) - bool(word)) if shell != "fish" else word
        asked = {"_MOTAGS_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": where}
        said = motags(**asked).stdout
        assert all(name in said for name in expected)
        assert "--model" not in said


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not here")
def test_bash_really_completes() -> None:
    script = f"""
        PATH={Path(MOTAGS).parent}:$PATH; eval "$(motags completion bash)"
        COMP_WORDS=(motags ex); COMP_CWORD=1; _motags_completion motags ex motags; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert "expire" in done.stdout.split()


def test_a_reader_that_leaves_early_is_no_mistake(tmp_path: Path, tagger_folder: Path) -> None:
    films = tmp_path / "films.jsonl"
    films.write_text("".join(f'{{"id": {row}, "text": null}}\n' for row in range(30_000)))
    command = f"{MOTAGS} tag {films} --model {tagger_folder} | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["id"] == "0"
    assert done.stderr == ""


@pytest.fixture
def crawled(tmp_path: Path) -> Path:
    """A project with films of TMDB, a list and a page, fetched 10 and 200 days ago."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for table, keys in {"tmdb": "ab", "tmdb-lists": "c", "wikipedia": "d"}.items():
        folder = tmp_path / "data/raw" / table
        folder.mkdir(parents=True)
        for shard, key in enumerate(keys):
            days = 10 if key == "b" else 200
            fetched = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
            record = {"key": key, "content": {"n": 1}, "fetched": fetched}
            (folder / f"{shard:05}.jsonl").write_text(json.dumps(record) + "\n")
    return tmp_path


def keys_of(project: Path) -> dict[str, list[str]]:
    with opened(project / "data/raw") as store:
        return {name: list(store[name]) for name in ("tmdb", "tmdb-lists", "wikipedia")}


def test_expire_drops_what_tmdb_gave_longer_ago_than_keep_days(crawled: Path) -> None:
    done = motags("expire", cwd=crawled)
    assert done.returncode == 0, done.stderr
    first, after = done.stdout.splitlines()
    assert first == "dropped what was older than 180 days: 1 films, 1 lists"
    assert after.startswith("Next: `dvc repro`")
    assert keys_of(crawled) == {"tmdb": ["b"], "tmdb-lists": [], "wikipedia": ["d"]}


def test_expire_drops_by_the_days_that_are_given(crawled: Path) -> None:
    assert motags("expire", "--days", "5", cwd=crawled).stdout.startswith("dropped what was older than 5 days: 2 films")
    assert keys_of(crawled) == {"tmdb": [], "tmdb-lists": [], "wikipedia": ["d"]}


def test_expire_says_no_more_where_nothing_is_old(crawled: Path) -> None:
    done = motags("expire", "--days", "300", cwd=crawled)
    assert done.stdout == "dropped what was older than 300 days: 0 films, 0 lists\n"
    assert keys_of(crawled)["tmdb"] == ["a", "b"]


def test_expire_works_on_a_folder_elsewhere_without_parameters(crawled: Path, tmp_path: Path) -> None:
    (crawled / "params.yaml").unlink()
    done = motags("expire", str(tmp_path / "data/raw"), "--days", "100")
    assert done.stdout.splitlines()[0] == "dropped what was older than 100 days: 1 films, 1 lists"
    assert keys_of(crawled)["tmdb"] == ["b"]


def test_mistakes_of_expire_are_one_line(crawled: Path) -> None:
    (crawled / "params.yaml").unlink()
    shutil.rmtree(crawled / "data/raw/tmdb-lists")
    for words, says in (
        (["expire"], "motags: params.yaml is missing: run in the project's root"),
        (["expire", "elsewhere", "--days", "1"], "motags: elsewhere is missing: nothing was crawled"),
    ):
        done = motags(*words, cwd=crawled)
        assert (done.returncode, done.stdout, done.stderr.strip()) == (1, "", says)
    assert motags("expire", "--days", "-1", cwd=crawled).returncode == 2
    assert not (crawled / "elsewhere").exists()


def test_expire_touches_no_other_folder(crawled: Path) -> None:
    (crawled / "data/.draft.tmp").write_text("mine")
    seal(crawled / "data")
    before = {path: path.read_bytes() for path in crawled.rglob("*") if path.is_file()}
    done = motags("expire", "data", "--days", "1", cwd=crawled)
    assert (done.returncode, done.stdout, done.stderr) == (0, "data holds nothing of TMDB\n", "")
    assert {path: path.read_bytes() for path in crawled.rglob("*") if path.is_file()} == before


def test_expire_waits_for_no_crawl(crawled: Path) -> None:
    with opened(crawled / "data/raw"):
        done = motags("expire", cwd=crawled)
    assert done.returncode == 1
    assert "is held by process" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert keys_of(crawled)["tmdb"] == ["a", "b"]


def test_expire_drops_nothing_of_a_store_that_was_changed(crawled: Path) -> None:
    keys_of(crawled)  # seals it
    shard = crawled / "data/raw/tmdb/00000.jsonl"
    shard.write_text(shard.read_text().replace("1", "2", 1))
    done = motags("expire", cwd=crawled)
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
