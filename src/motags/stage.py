"""What every stage shares: paths from its command line, typed parameters, threads, log, one-line errors."""

import inspect
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from safetensors import SafetensorError
from threadpoolctl import threadpool_limits

from motags.errors import MotagsError
from motags.machine import cores, peak_memory_mb

PARAMS = Path("params.yaml")
CARRIED = Path(__file__).with_name("params.yaml")  # the project's own, in an installed package
DEFAULTS = CARRIED if CARRIED.exists() else Path(__file__).parents[2] / PARAMS
LOGS = Path("logs")
THREADS = {"threads": Annotated[int, Field(ge=0, le=1024)]}
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # of every random choice of a stage

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


def read_params(path: Path, types: Mapping[str, Any]) -> dict[str, Any]:
    """Read and check the sections of a parameter file that `types` names.

    Raises:
        MotagsError: the file can't be read, a section or key is missing or unknown, or a value has
            the wrong type or range; the message names each such key.
    """
    return _validated(str(path), _values(path), types)


def _values(path: Path) -> dict[str, Any]:
    try:
        return YAML(typ="safe", pure=True).load(path) or {}
    except YAMLError as error:
        raise MotagsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except FileNotFoundError:
        raise MotagsError(f"{path} is missing: run in the project's root") from None


def _validated(source: str, values: Mapping[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    params, wrong = {}, []
    for name, kind in types.items():
        try:
            params[name] = TypeAdapter(kind, config=_config(kind)).validate_python(values.get(name))
        except ValidationError as error:
            wrong += [_sentence(name, kind, detail) for detail in error.errors()]
    if wrong:
        raise MotagsError(f"{source}: {'; '.join(wrong)}")
    return params


def completed(types: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of parameters for those who have no params.yaml: records as they are given, keys over the defaults.

    Raises:
        MotagsError: a section is neither, a key is unknown, or a value has the wrong type or range.
    """
    values, records = _values(DEFAULTS), {}
    for name, kind in types.items():
        own = given.get(name)
        if isinstance(own, Mapping):
            values[name] = _over(values[name], own)
        elif isinstance(own, kind):
            records[name] = own
        elif own is not None:
            raise MotagsError(f"Tagger: {name} = {own!r}: give a dictionary of the parameters in section {name}")
    rest = {name: kind for name, kind in types.items() if name not in records}
    return _validated("Tagger", values, rest) | records


def _over(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(values)
    for name, value in given.items():
        nested = isinstance(value, Mapping) and isinstance(changed.get(name), Mapping)
        changed[name] = _over(changed[name], value) if nested else value
    return changed


def _config(kind: Any) -> ConfigDict | None:
    is_record = isinstance(kind, type) and issubclass(kind, BaseModel)
    return None if is_record else ConfigDict(strict=True)


def _sentence(section: str, kind: Any, detail: Any) -> str:
    key = ".".join([section, *map(str, detail["loc"])])
    if detail["type"] == "extra_forbidden":
        *parents, _ = detail["loc"]
        for parent in parents:
            kind = kind.model_fields[parent].annotation
        return f"{key} is not a parameter; {'.'.join([section, *parents])} takes {', '.join(kind.model_fields)}"
    return f"{key} = {detail['input']!r}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _paths(stage: Callable[..., None], arguments: list[str]) -> list[Path]:
    names = inspect.getfullargspec(stage).args
    if len(arguments) != len(names):
        raise MotagsError(f"takes {len(names)} paths ({' '.join(names).upper()}), not {len(arguments)}")
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
    for noisy in ("httpx", "sentence_transformers", "transformers", "accelerate"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _record(path: Path, **figures: float) -> None:
    figures["peak_memory_mb"] = peak_memory_mb()
    path.write_text(json.dumps({name: round(value, 2) for name, value in figures.items()}) + "\n")
    log.info("done: %s", ", ".join(f"{name} {value:.1f}" for name, value in figures.items()))
