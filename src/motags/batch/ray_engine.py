"""The same tagging on a Ray cluster: one model per worker, lost chunks repeated, answers in order.

Every machine of the cluster needs `motags[ray]` and the model's folder under the same path.
"""

import logging
import os
import platform
import socket
import sys
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motags.batch.job import Choice, Chunk, Engine, TaggedFilm, tagged
from motags.errors import MotagsError
from motags.films.text import Entry
from motags.tagger.tagger import Tagger

if TYPE_CHECKING:
    from motags.evidence.onnx_encoder import Backend

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports home otherwise; read when it is imported

import ray
from ray.exceptions import RayError, RayTaskError

TRIES = 5  # of a chunk whose worker died, at most
PATIENCE = 10.0  # seconds for a cluster to answer
AHEAD = 3  # chunks a worker that are under way or wait to be written: bounds memory


@dataclass(frozen=True)
class ModelSpec:
    """What every worker loads; `version` is the one that all must have."""

    folder: Path
    backend: "Backend"
    threads: int
    version: str


class Worker:
    """A process of the cluster with a model of its own, loaded for the first chunk."""

    def __init__(self, model: ModelSpec) -> None:
        self._model = model
        self._tagger: Tagger | None = None

    def answers(self, films: list[Entry], choice: Choice) -> list[TaggedFilm]:
        """See `motags.batch.job.tagged`. Raises MotagsError where this machine has another model."""
        if self._tagger is None:
            self._tagger = Tagger.load(self._model.folder, backend=self._model.backend, threads=self._model.threads)
        if self._tagger.version_ != self._model.version:
            raise MotagsError(
                f"{self._model.folder} on {platform.node()} is version {self._tagger.version_}, "
                f"not {self._model.version}: give all machines the same model"
            )
        return tagged(self._tagger, films, choice)


@contextmanager
def on_cluster(model: ModelSpec, choice: Choice) -> Iterator[tuple[Engine, "Backend"]]:
    """The engine that tags on the cluster that RAY_ADDRESS or this machine names, else on a temporary one here.

    With it comes the backend that the model has there: GPUs need another, whose scores differ.

    A worker takes a GPU where the cluster has any (and the backend torch), else `threads` processors (0: one).

    Raises:
        MotagsError: the cluster can't be reached, or has no room for a worker.
    """
    address = _address()
    settings: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    with redirect_stdout(sys.stderr):  # Ray's messages about its workers must not stand among the answers
        try:
            try:
                ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **settings)
            except (ValueError, RuntimeError, ConnectionError) as error:  # a wrong address, or other versions there
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise MotagsError(f"the Ray cluster {address!r} can't be used: {reason}") from None
            gpus = _room("GPU", 1)
            backend: Backend = "torch" if gpus else model.backend
            workers = _workers(replace(model, backend=backend), gpus)
            yield lambda chunks: _in_order(workers, chunks, choice), backend
        finally:
            ray.shutdown()


def _address() -> str:
    """The cluster that RAY_ADDRESS names or that was last started on this machine; else `local`, a new one.

    It has to answer: Ray itself would ask a dead one for five minutes, then end the process.
    """
    if (address := os.environ.get("RAY_ADDRESS", "auto")) != "auto":
        if ":" in address and not _is_reachable(address):
            raise MotagsError(f"no Ray cluster answers at RAY_ADDRESS = {address}")
        return address
    folder = os.environ.get("RAY_TMPDIR", "/tmp")  # noqa: S108, Ray's own default
    address_file = Path(folder) / "ray/ray_current_cluster"
    local_address = address_file.read_text(encoding="utf-8").strip() if address_file.exists() else ""
    return local_address if _is_reachable(local_address) else "local"


def _is_reachable(address: str) -> bool:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, ValueError):
        return False
    return True


def _workers(model: ModelSpec, gpus: int) -> list[Any]:
    processors = model.threads or 1
    count = gpus or _room("CPU", processors)
    if not count:
        raise MotagsError(f"no machine of the Ray cluster has {processors} processors: give fewer --threads")
    worker_model = replace(model, threads=processors)
    share = {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": processors}
    actor: Any = ray.remote(Worker).options(max_restarts=-1, max_task_retries=TRIES, **share)
    return [actor.remote(worker_model) for _ in range(count)]


def _room(resource: str, amount: int) -> int:
    """How many workers that take `each` of a resource find room in the cluster."""
    return sum(int(node["Resources"].get(resource, 0)) // amount for node in ray.nodes() if node["Alive"])


@dataclass
class _Task:
    chunk: Chunk
    worker: int
    answers: Any


def _in_order(workers: list[Any], chunks: Iterator[Chunk], choice: Choice) -> Iterator[tuple[Chunk, list[TaggedFilm]]]:
    """The chunks with their answers, in their order."""
    tasks: deque[_Task] = deque()
    for chunk in chunks:
        worker = _least_busy(workers, tasks)
        tasks.append(_Task(chunk, worker, workers[worker].answers.remote(chunk.films, choice)))
        if len(tasks) == AHEAD * len(workers):
            task = tasks.popleft()
            yield task.chunk, _result(workers, task, choice)
    for task in tasks:
        yield task.chunk, _result(workers, task, choice)


def _least_busy(workers: list[Any], tasks: "deque[_Task]") -> int:
    waiting = [task.answers for task in tasks]
    finished = set(ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]) if waiting else set()
    busy = Counter(task.worker for task in tasks if task.answers not in finished)
    return min(range(len(workers)), key=lambda worker: busy[worker])


def _result(workers: list[Any], task: _Task, choice: Choice) -> list[TaggedFilm]:
    """Ray itself tries a chunk again whose worker died; an answer that was lost with its machine is asked for anew."""
    for _ in range(TRIES):
        try:
            return ray.get(task.answers)
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            reason = str(error).strip().splitlines()[0]
            task.answers = workers[task.worker].answers.remote(task.chunk.films, choice)
    raise MotagsError(
        f"the rows before {task.chunk.rows + 1} stopped a Ray worker {TRIES} times ({reason}): "
        "give smaller chunks (--chunk) or machines with more memory"
    )
