"""The Ray engine, on a local cluster of two workers, one of which is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import MOTAGS, TEXT_FILMS, as_jsonl, journal, motags, put

Cluster = pytest.importorskip("ray.cluster_utils").Cluster
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path("/proc").exists(), reason="the worker to kill is looked up in /proc"),
]
COPIES = 40


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A Ray cluster of two machines with a processor each; its address."""
    made = Cluster()
    for _ in range(2):
        made.add_node(num_cpus=1, include_dashboard=False, object_store_memory=100 * 2**20)
    yield made.address
    made.shutdown()


@pytest.fixture
def films(tmp_path: Path) -> Path:
    many = [film | {"id": f"{copy}-{film['id']}"} for copy in range(COPIES) for film in TEXT_FILMS]
    return put(tmp_path / "films.jsonl", as_jsonl(many))


def ancestors(pid: int) -> list[int]:
    """The process that started one, the one that started that, and so on."""
    found: list[int] = []
    while pid > 1:
        status = Path(f"/proc/{pid}/status")
        pid = int(re.findall(r"PPid:\s+(\d+)", status.read_text())[0]) if status.exists() else 0
        found.append(pid)
    return found


def workers() -> list[int]:
    """The processes that hold a model, of clusters that this process made."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if command.startswith(b"ray::Worker") and os.getpid() in ancestors(int(entry.name)):
                found.append(int(entry.name))
    return found


def test_without_a_cluster_one_is_made_for_the_time(tmp_path: Path, tagger_folder: Path) -> None:
    films = put(tmp_path / "films.jsonl", as_jsonl(TEXT_FILMS))
    call = ["tag", str(films), "--model", str(tagger_folder), "--chunk", "7"]
    done = motags(*call, "--engine", "ray")
    assert done.returncode == 0, done.stderr
    assert done.stdout == motags(*call).stdout


def test_a_worker_that_is_killed_costs_no_film_and_doubles_none(
    tmp_path: Path, films: Path, tagger_folder: Path, cluster: str
) -> None:
    outputs = {name: tmp_path / f"{name}.jsonl" for name in ("here", "ray")}
    call = ["tag", str(films), "--model", str(tagger_folder), "--chunk", "20", "--output"]
    assert motags(*call, str(outputs["here"])).returncode == 0
    process = subprocess.Popen(
        [MOTAGS, *call, str(outputs["ray"]), "--engine", "ray"],
        env=os.environ | {"RAY_ADDRESS": cluster}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while process.poll() is None and journal(outputs["ray"])["count"]["films"] < 100:
        time.sleep(0.001)
    held = workers()
    assert len(held) == 2
    os.kill(held[0], signal.SIGKILL)
    printed, said = process.communicate(timeout=200)
    assert (process.returncode, printed) == (0, "")  # what Ray says of the worker is not among the answers
    assert f"motags: tagged {60 * COPIES:,} films" in said.splitlines()
    ids = [json.loads(line)["id"] for line in outputs["ray"].read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 60 * COPIES
    assert outputs["ray"].read_bytes() == outputs["here"].read_bytes()


def test_a_mistake_on_a_worker_is_one_line(films: Path, tagger_folder: Path, cluster: str) -> None:
    code = f"""
from pathlib import Path
from motags.errors import MotagsError
from motags.batch.ray_engine import ModelSpec, on_cluster
from motags.batch.job import Choice, Job
try:
    with on_cluster(ModelSpec(Path({str(tagger_folder)!r}), "int8", 0, "another"), Choice()) as (engine, _):
        list(engine(Job(Path({str(films)!r})).chunks()))
except MotagsError as error:
    print(error)
"""
    env = os.environ | {"RAY_ADDRESS": cluster}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert "not another: give all machines the same model" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_cluster_that_can_not_be_used_is_one_line(films: Path, tagger_folder: Path, cluster: str) -> None:
    call = ["tag", str(films), "--model", str(tagger_folder), "--engine", "ray"]
    for more, variables, says in (
        (["--threads", "64"], {"RAY_ADDRESS": cluster}, "has 64 processors: give fewer --threads"),
        ([], {"RAY_ADDRESS": "127.0.0.1:1"}, "no Ray cluster answers at RAY_ADDRESS = 127.0.0.1:1"),
        ([], {"RAY_ADDRESS": "nowhere"}, "the Ray cluster 'nowhere' can't be used: "),
    ):
        done = motags(*call, *more, **variables)
        assert done.returncode == 1
        assert says in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
