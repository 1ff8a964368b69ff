"""What every stage shares: paths from its command line, typed parameters, threads, log, one-line errors."""

import inspect
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from safetensors import SafetensorError
from threadpoolctl import threadpool_limits

from motags.errors import MotagsError
from motags.machine import cores, peak_memory_mb
from motags.params import PARAMS, THREADS, read_params

LOGS = Path("logs")
log = logging.getLogger(__name__)


def run(stage: Callable[..., None]) -> None:
    """Run `stage` on the paths of the command line and on its sections of params.yaml.

    The positional arguments of `stage` are paths, given on the command line in that order. Its
    keyword-only arguments are sections of params.yaml, each named after the section and annotated
    with its type. `threads` is read for every stage and limits all numerical libraries; a stage that
    takes it gets the number itself.

    Exits with status 1 and one line for a mistake that the user can mend.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(stage)
    except (MotagsError, SafetensorError) as error:
        sys.exit(f"motags {stage.__name__}: {error}")
    except OSError as error:
        sys.exit(f"motags {stage.__name__}: {error.filename or 'a file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(f"motags {stage.__name__}: stopped; the same command goes on or starts again")


def _run(stage: Callable[..., None]) -> None:
    paths = _paths(stage, sys.argv[1:])
    params = read_params(PARAMS, sections(stage) | THREADS)
    _log_to(LOGS / f"{stage.__name__}.log")
    started = time.perf_counter()
    params["threads"] = _limit_threads(params["threads"])
    with threadpool_limits(params["threads"]):
        stage(*paths, **{name: params[name] for name in sections(stage)})
    _record(LOGS / f"{stage.__name__}.json", seconds=time.perf_counter() - started)


def sections(stage: Callable[..., None]) -> dict[str, Any]:
    """The sections of params.yaml that `stage` reads, by name, with their types."""
    types = get_type_hints(stage, include_extras=True)
    return {name: types[name] for name in inspect.getfullargspec(stage).kwonlyargs}


def _paths(stage: Callable[..., None], arguments: list[str]) -> list[Path]:
    names = inspect.getfullargspec(stage).args
    if len(arguments) != len(names):
        raise MotagsError(f"expected {len(names)} paths ({' '.join(names).upper()}), got {len(arguments)}")
    return [Path(argument) for argument in arguments]


def _limit_threads(threads: int) -> int:
    limit = threads or cores()
    os.environ["OMP_NUM_THREADS"] = str(limit)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(limit)
    return limit


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.raiseExceptions = False  # a log that can't be written is no reason to stop
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(path, "w", encoding="utf-8")]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers)
    for noisy in ("httpx", "sentence_transformers", "transformers", "accelerate", "onnx_ir", "onnxscript"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _record(path: Path, **figures: float) -> None:
    figures["peak_memory_mb"] = peak_memory_mb()
    path.write_text(json.dumps({name: round(value, 2) for name, value in figures.items()}) + "\n")
    log.info("done: %s", ", ".join(f"{name} {value:.1f}" for name, value in figures.items()))
