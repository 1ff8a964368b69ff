"""The command line, as a user types it."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conftest import ROOT
from motags.cli import COLUMNS, METHODS
from motags.sources.store import opened

MOTAGS = str(Path(sys.executable).parent / "motags")


def motags(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MOTAGS, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def some_metrics(path: Path) -> Path:
    path.write_text(json.dumps({name: dict.fromkeys(COLUMNS, 0.125) for name in METHODS}))
    return path


def test_results_prints_a_row_a_method(tmp_path: Path) -> None:
    done = motags("results", str(some_metrics(tmp_path / "metrics.json")))
    assert done.returncode == 0
    for name in METHODS.values():
        row = next(line for line in done.stdout.splitlines() if line.strip().startswith(f"{name} "))
        assert row.count("0.125") == len(COLUMNS)


def test_results_fits_a_terminal_of_80_columns(tmp_path: Path) -> None:
    done = motags("results", str(some_metrics(tmp_path / "metrics.json")))
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_results_prints_markdown(tmp_path: Path) -> None:
    done = motags("results", "--markdown", str(some_metrics(tmp_path / "metrics.json")))
    lines = done.stdout.splitlines()
    assert lines[0].startswith("| method | micro F1 |")
    assert len(lines) == 2 + len(METHODS)


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("[1]")
    for path, says in ((tmp_path / "none.json", "is missing"), (other, "holds no metrics")):
        done = motags("results", str(path))
        assert done.returncode == 1
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_help_does_not_import_the_training_stack() -> None:
    code = "import sys, motags.cli; sys.exit(bool({'torch', 'pandas', 'sklearn', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
