"""The command line, as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

from motags.cli import COLUMNS, METHODS

MOTAGS = str(Path(sys.executable).parent / "motags")


def motags(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MOTAGS, *arguments], capture_output=True, text=True, check=False)


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
