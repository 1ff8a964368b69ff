"""params.yaml: its sections read and checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from motags.errors import MotagsError

PARAMS = Path("params.yaml")
PACKAGED_PARAMS = Path(__file__).with_name("params.yaml")  # the project's own, in an installed package
DEFAULTS = PACKAGED_PARAMS if PACKAGED_PARAMS.exists() else Path(__file__).parents[2] / PARAMS
THREADS = {"threads": Annotated[int, Field(ge=0, le=1024)]}
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # of every random choice of a stage


class Params(BaseModel):
    """The strict base record of a section: an unknown key or another type is refused, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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
    params, mistakes = {}, []
    for name, kind in types.items():
        try:
            params[name] = TypeAdapter(kind, config=_config(kind)).validate_python(values.get(name))
        except ValidationError as error:
            mistakes += [_sentence(name, kind, detail) for detail in error.errors()]
    if mistakes:
        raise MotagsError(f"{source}: {'; '.join(mistakes)}")
    return params


def completed(types: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Complete sections for callers without params.yaml: a record stays as it is, a dictionary changes the defaults.

    Raises:
        MotagsError: a section is neither record nor dictionary, or a key or value is wrong.
    """
    values, records = _values(DEFAULTS), {}
    for name, kind in types.items():
        section = overrides.get(name)
        if isinstance(section, Mapping):
            values[name] = _merged(values[name], section)
        elif isinstance(section, kind):
            records[name] = section
        elif section is not None:
            raise MotagsError(f"Tagger: {name} = {section!r}: give a dictionary of the parameters in section {name}")
    rest = {name: kind for name, kind in types.items() if name not in records}
    return _validated("Tagger", values, rest) | records


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if nested else value
    return merged


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
