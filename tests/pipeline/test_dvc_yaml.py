"""The contract: dvc.yaml declares exactly what the stages import and read."""

import ast
import inspect
import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from builders import ROOT
from motags.params import THREADS, read_params
from motags.stage import sections

STAGES: dict[str, dict[str, Any]] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
PARAMS: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
LOOK = """
import ast, importlib, json, runpy, sys

def own():
    return {n: m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "motags"}

def late(file):
    functions = [n for n in ast.walk(ast.parse(open(file).read())) if isinstance(n, ast.FunctionDef)]
    inside = [n for function in functions for n in ast.walk(function) if isinstance(n, ast.ImportFrom)]
    return [n.module for n in inside if n.module.startswith("motags.")]

sys.path.insert(0, "stages")
runpy.run_path(sys.argv[1], run_name="looked_at")
seen = {"motags"}  # its own late import is that of `from motags import Tagger`, which no stage uses
while new := own().keys() - seen:
    seen |= new
    for module in [late_one for one in new for late_one in late(own()[one])]:
        importlib.import_module(module)
print(json.dumps(list(own().values())))
"""
STOP_AT_NUMERICAL = """
import sys
from importlib.machinery import ModuleSpec

class Stop:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name in {"onnxruntime", "sklearn", "torch"} else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        sys.exit("it takes the numerical libraries")

sys.meta_path.insert(0, Stop())
"""


def own_modules(python: Path | str, name: str) -> list[str]:
    """The modules of ours that a stage imports, at once or in a function."""
    command = [python, "-c", LOOK, f"stages/{name}.py"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def is_numerical(name: str) -> bool:
    """Whether a stage takes the numerical libraries, at once or in a function; they are not loaded to see it."""
    command = [sys.executable, "-c", STOP_AT_NUMERICAL + LOOK, f"stages/{name}.py"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0 or done.stderr == "it takes the numerical libraries\n", done.stderr
    return bool(done.returncode)


def function(name: str) -> Any:
    """The stage function of a script."""
    spec = spec_from_file_location(f"stage_{name}", ROOT / f"stages/{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def paths(entries: list[Any]) -> list[str]:
    """The paths of deps, outs, metrics or plots."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def outputs(stage: dict[str, Any]) -> list[str]:
    return [path for kind in ("outs", "metrics", "plots") for path in paths(stage.get(kind, []))]


def files_of(dep: str) -> list[str]:
    """The Python files that a dependency on code names: itself, or all of a folder."""
    return [file.relative_to(ROOT).as_posix() for file in (ROOT / dep).rglob("*.py")] or [dep]


def unexplained(section: Any, lines: list[str]) -> list[str]:
    """The parameters of a section, and of those in it, that no comment is for."""
    odd = []
    for key, value in section.items():
        if isinstance(value, dict):
            odd += [f"{key}.{name}" for name in unexplained(value, lines)]
        elif "/" not in key and not is_explained(section.lc.key(key)[0], lines):  # a hub name is no parameter
            odd.append(key)
    return odd


def is_explained(number: int, lines: list[str]) -> bool:
    """Whether a line has a comment, or stands with its like below one that is for all of them."""
    above, margin = number, indent(lines[number])
    while above >= 0 and indent(lines[above]) == margin:
        if "#" in lines[above]:
            return above == number or lines[above].strip().startswith("#")
        above -= 1
    return False


def indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else -1


def test_every_stage_script_is_a_stage() -> None:
    assert {file.stem for file in (ROOT / "stages").glob("*.py")} - {"environment"} == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_the_modules_that_it_imports(preloaded: Path, name: str) -> None:
    imported = {Path(file).relative_to(ROOT).as_posix() for file in own_modules(preloaded / "python", name)}
    code = [dep for dep in STAGES[name]["deps"] if dep.startswith("src/")]
    assert sorted(file for dep in code for file in files_of(dep)) == sorted(imported)  # each once
    assert {f"stages/{name}.py", "stages/environment.py"} <= set(STAGES[name]["deps"])


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_to_do_where_python_has_no_motags(name: str) -> None:
    bare = [sys.executable, "-S", "-E", f"stages/{name}.py"]  # no packages, and no PYTHONPATH
    done = subprocess.run(bare, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "has no motags: activate the project's environment" in done.stderr


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_the_sections_that_it_reads(name: str) -> None:
    assert set(STAGES[name]["params"]) == set(sections(function(name))) | set(THREADS)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_gets_the_paths_that_it_declares(name: str) -> None:
    words = STAGES[name]["cmd"].split()
    assert words[:2] == ["python", f"stages/{name}.py"]
    arguments = dict(zip(inspect.getfullargspec(function(name)).args, words[2:], strict=True))
    for kept in ("checkpoint", "store"):  # neither input nor output: it outlives a run that was killed
        arguments.pop(kept, None)
    inputs = [path for argument, path in arguments.items() if not argument.endswith("_out")]
    written = [path for argument, path in arguments.items() if argument.endswith("_out")]
    data = [dep for dep in STAGES[name]["deps"] if dep.startswith(("data/", "models/"))]
    assert sorted(inputs) == sorted(data)
    seals = [path for path in outputs(STAGES[name]) if path.endswith(".sha256")]
    assert sorted(written) == sorted(set(outputs(STAGES[name])) - set(seals))
    assert {seal.removesuffix(".sha256") for seal in seals} <= set(written)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_uses_the_numerical_libraries_depends_on_their_versions(name: str) -> None:
    assert ("requirements.lock" in STAGES[name]["deps"]) == is_numerical(name)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_described_and_thin(name: str) -> None:
    assert STAGES[name]["desc"]
    body = ast.parse(inspect.getsource(function(name)))
    assert not [node for node in ast.walk(body) if isinstance(node, ast.For | ast.While | ast.If | ast.Try)]
    assert len(body.body[0].body) <= 15  # type: ignore[attr-defined]


def test_no_output_is_written_twice_and_metrics_stay_in_git() -> None:
    everything = [path for stage in STAGES.values() for path in outputs(stage)]
    assert len(everything) == len(set(everything))
    for stage in STAGES.values():
        for entry in [*stage.get("metrics", []), *stage.get("plots", [])]:
            assert next(iter(entry.values()))["cache"] is False


def test_every_other_output_is_cached_and_only_the_store_of_the_crawl_persists() -> None:
    settings = [out for stage in STAGES.values() for out in stage.get("outs", []) if isinstance(out, dict)]
    assert settings == [{"data/raw": {"persist": True}}]  # no `cache: false`, so that the run cache works


def test_every_plot_has_its_template_and_title() -> None:
    for stage in STAGES.values():
        for entry in stage.get("plots", []):
            settings = next(iter(entry.values()))
            assert (ROOT / f".dvc/plots/{settings['template']}.json").exists()
            assert settings["title"]


def test_every_parameter_is_read_by_a_stage_and_valid() -> None:
    types = {section: kind for name in STAGES for section, kind in sections(function(name)).items()}
    assert set(types) | set(THREADS) == set(PARAMS)
    read_params(ROOT / "params.yaml", types | THREADS)


def test_every_parameter_is_explained() -> None:
    lines = (ROOT / "params.yaml").read_text().splitlines()
    assert unexplained(YAML().load(ROOT / "params.yaml"), lines) == []


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("clusterer.k=30", {"  k: 30                 # clusters (the paper's number)"}),
        ("local_models.learning_rate=1e-4", {"  learning_rate: 0.0001 # of Adam"}),
        ("crawl.sources=[wikipedia,wikidata]", {"  - wikipedia", "  - wikidata"}),
        ("dataset.excluded=[imax]", set()),
        ("crawl.contact='Ana (tags) <a@example.org>'", {"Ana (tags) <a@example.org>"}),
    ],
)
def test_what_dvc_sets_changes_its_own_lines_and_loses_no_comment(
    tmp_path: Path, override: str, changed: set[str]
) -> None:
    before = (ROOT / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(before)
    apply_overrides(path, [override])
    after = path.read_text().splitlines()
    added = [line for line in after if line not in before.splitlines()]
    assert len(added) == len(changed)
    assert all(any(part in line for line in added) for part in changed)
    assert [line.split("#", 1)[1] for line in after if "#" in line] == [
        line.split("#", 1)[1] for line in before.splitlines() if "#" in line
    ]


SOME = """
a: 1  # why
# both
b: 2
c: 3
d:
  e: 4
  f:
    # why
    g: [5]
    h: 6  # why
    i:
    - 7  # not of i
    j: 8
"""


def test_a_parameter_without_an_explanation_is_noticed_at_any_depth() -> None:
    assert unexplained(YAML().load(SOME), SOME.splitlines()) == ["d.e", "d.f.i", "d.f.j"]


def test_the_lock_file_holds_names_and_versions_only() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        for line in (ROOT / name).read_text().splitlines():
            assert line.startswith("#") or (line.count("==") == 1 and "+" not in line and "/" not in line), line
