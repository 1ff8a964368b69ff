"""Parameters, command lines and one-line errors."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from builders import ROOT, Make, Project
from motags.errors import MotagsError
from motags.paper.clusterer import ClustererParams
from motags.params import THREADS, Seed, read_params
from motags.sources.params import CrawlParams

GOOD = "seed: 1\nthreads: 0\nclusterer:\n  k: 20\n  min_films: 2\n  n_init: 10\n"
CRAWL = ("data/raw", "data/catalogue", "metrics/crawl.json")
COUNT = """
from pathlib import Path
from motags.stage import run

def count(out: Path, *, seed: int, threads: int) -> None:
    print(out, "takes", threads, "with seed", seed)

run(count)
"""


def read(tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    return read_params(file, {"seed": Seed, "clusterer": ClustererParams} | THREADS)


def test_good_parameters_are_typed(tmp_path: Path) -> None:
    params = read(tmp_path, GOOD)
    assert params == {"seed": 1, "threads": 0, "clusterer": ClustererParams(k=20, min_films=2, n_init=10)}


@pytest.mark.parametrize("value", ["0", "-1", "1000000", "x", "2.5", "null", "true", "[3]"])
def test_a_bad_value_is_refused_with_key_and_reason(tmp_path: Path, value: str) -> None:
    with pytest.raises(MotagsError, match=r"params\.yaml: clusterer\.k = .*: input should be") as error:
        read(tmp_path, GOOD.replace("k: 20", f"k: {value}"))
    assert "\n" not in str(error.value)


def test_an_unknown_key_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match=r"clusterer\.kk is not a parameter; clusterer takes k, min_films, n_init"):
        read(tmp_path, GOOD + "  kk: 3\n")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    tries: 5 ", "    tries: 0 ", r"crawl\.fetch\.tries = 0: input should be greater"),
        ("  - catalogue", "  - imdb", r"crawl\.sources\.0 = 'imdb': input should be 'catalogue', 'wikipedia'"),
        ("    tries: 5 ", "    trys: 5 ", r"crawl\.fetch\.trys is not a parameter; crawl\.fetch takes tries, backoff"),
    ],
)
def test_a_mistake_in_a_nested_section_is_named_with_its_path(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (ROOT / "params.yaml").read_text()
    assert text.count(old) == 1
    (tmp_path / "params.yaml").write_text(text.replace(old, new))
    with pytest.raises(MotagsError, match=said) as error:
        read_params(tmp_path / "params.yaml", {"crawl": CrawlParams})
    assert "\n" not in str(error.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match=r"seed = -1"):
        read(tmp_path, GOOD.replace("seed: 1", "seed: -1"))
    with pytest.raises(MotagsError, match=r"seed = 'x'.*clusterer\.k = 0.*threads = -1"):
        read(tmp_path, GOOD.replace("seed: 1", "seed: x").replace("k: 20", "k: 0").replace("threads: 0", "threads: -1"))


def test_a_missing_key_section_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match=r"clusterer\.n_init"):
        read(tmp_path, GOOD.replace("  n_init: 10\n", ""))
    with pytest.raises(MotagsError, match="clusterer = None"):
        read(tmp_path, "seed: 1\nthreads: 0\n")
    with pytest.raises(MotagsError, match="missing: run in the project's root"):
        read_params(tmp_path / "none.yaml", {"seed": int})


def test_broken_yaml_is_one_line_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(MotagsError, match=r"not valid YAML: .*line 1") as error:
        read(tmp_path, "seed: [1\n")
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, make_project: Make) -> Project:
    return make_project(tmp_path_factory.mktemp("project"), 60)


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> Project:
    """A copy of it to change, before any stage ran."""
    ran = shutil.ignore_patterns("logs", "raw", "catalogue")
    shutil.copytree(project.root, tmp_path / "copy", ignore=ran)
    return Project(tmp_path / "copy")


def change(project: Project, old: str, new: str) -> None:
    params = project.root / "params.yaml"
    assert params.read_text().count(old) == 1
    params.write_text(params.read_text().replace(old, new))


def refused(project: Project, *command: str) -> str:
    """The one line that a stage says when it refuses."""
    done = project.run("python", *command, check=False)
    said = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert said[-1].startswith("motags ")
    assert "Traceback" not in done.stderr
    return said[-1]


def test_a_stage_says_which_paths_it_takes(project: Project) -> None:
    assert "expected 3 paths (RAW_OUT FILMS_OUT METRICS_OUT), got 1" in refused(project, "stages/crawl.py", "data/raw")


def test_a_missing_input_names_the_file_and_the_command(project: Project) -> None:
    line = refused(
        project, "stages/dataset.py", "data/none", "data/synonyms.csv", "a.parquet", "b.parquet", "a.json", "a.csv"
    )
    assert "data/none is missing: run `dvc repro`" in line


def test_a_stage_leaves_times_and_memory_in_logs_only(project: Project) -> None:
    project.stage("crawl", *CRAWL)
    figures = project.json("logs/crawl.json")
    assert set(figures) == {"seconds", "peak_memory_mb"}
    assert set(project.json("metrics/crawl.json")) == {"films", "having", "tags", "set_aside", "set_aside_for"}


def test_a_stage_may_take_the_threads_itself(copy: Project) -> None:
    (copy.root / "stages/count.py").write_text(COUNT)
    change(copy, "threads: 1", "threads: 3")
    assert copy.stage("count", "here").stdout == "here takes 3 with seed 42\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_stage_that_is_told_to_end_says_so_in_one_line(copy: Project) -> None:
    os.mkfifo(copy.root / "data/pipe.jsonl")  # whoever reads it waits
    change(copy, "catalogue: data/sample/films.jsonl", "catalogue: data/pipe.jsonl")
    process = copy.start("crawl", *CRAWL)
    while not (copy.root / "logs/crawl.log").exists() and process.poll() is None:
        time.sleep(0.01)
    process.terminate()
    try:
        said = process.communicate(timeout=5)[1].splitlines()
    finally:
        process.kill()
    assert process.returncode == 1
    assert said == ["motags crawl: stopped; the same command goes on or starts again"]
    assert not (copy.root / "data/catalogue").exists()
