"""The house: packages by subject, each importing only those below it, and no circle anywhere."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

from builders import ROOT

HOUSE = ROOT / "src/motags"
MODULES = ["errors", "machine", "progress", "terminal", "artifacts", "tables", "params", "stage"]
LAYERS = [  # lowest first; a package imports only itself, the modules above and packages of lines before its own
    ["films"],
    ["sources", "dataset"],
    ["paper"],
    ["evidence"],
    ["evaluation"],
    ["tagger"],
    ["active_learning", "batch"],
    ["web"],
    ["commands"],
]
HEAVY = ("torch", "sklearn", "pandas", "pydantic")
MOST_ENTRIES = 20


def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    parts = {file: file.relative_to(HOUSE.parent).with_suffix("").parts for file in HOUSE.rglob("*.py")}
    return {".".join(part for part in names if part != "__init__"): file for file, names in parts.items()}


def imports_of(file: Path, known: set[str]) -> Iterator[str]:
    """The modules of ours that a file imports, at once, in a function, or for types only."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "motags":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)


def graph() -> "nx.DiGraph[str]":
    """Which module imports which; the package's own face, which is lazy, apart."""
    found = modules()
    edges = [(name, other) for name, file in found.items() for other in imports_of(file, set(found))]
    return nx.DiGraph((name, other) for name, other in edges if "motags" not in {name, other})


def room(module: str) -> str:
    return module.split(".")[1]


def test_no_files_import_each_other_in_a_circle() -> None:
    assert [part for part in nx.strongly_connected_components(graph()) if len(part) > 1] == []


def test_a_package_imports_only_those_below_it() -> None:
    height = {name: place for place, names in enumerate([MODULES, *LAYERS]) for name in names}
    up = [
        (one, other)
        for one, other in graph().edges
        if room(one) != room(other) and room(other) not in MODULES and height[room(other)] >= height[room(one)]
    ]
    assert up == []


def test_every_package_has_its_place_and_the_house_has_few_doors() -> None:
    entries = {entry.name for entry in HOUSE.iterdir() if entry.name not in {"__pycache__", "__init__.py"}}
    packages = {entry for entry in entries if (HOUSE / entry).is_dir()}
    assert packages == {name for names in LAYERS for name in names}
    assert len(entries) <= MOST_ENTRIES


def test_what_tags_films_imports_no_training_stack() -> None:
    names = "motags.batch.job, motags.batch.output, motags.tagger.tagger, motags.tagger.folder, motags.commands.tag"
    code = f"import sys, {names}; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_tests_import_no_test_modules() -> None:
    """What several of them build films from is in `builders` and `servers`."""
    files = list((ROOT / "tests").rglob("*.py"))
    names = {file.stem for file in files if file.stem.startswith("test_")} | {"conftest"}
    nodes = [(file.name, node) for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    sources = [(file, node.module or "") for file, node in nodes if isinstance(node, ast.ImportFrom)]
    sources += [(file, alias.name) for file, node in nodes if isinstance(node, ast.Import) for alias in node.names]
    assert [(file, module) for file, module in sources if names & set(module.split("."))] == []
