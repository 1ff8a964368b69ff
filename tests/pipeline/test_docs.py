"""README and docs/: complete, true to the code, with links that lead somewhere and examples that run."""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from ruamel.yaml import YAML

from builders import ROOT
from motags.commands.cli import app
from motags.evaluation.rows import ROWS

README = ROOT / "README.md"
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
}
TEXT = "\n".join(PAGES.values())
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _prose(text: str) -> str:
    return FENCE.sub("", text)


def _code_words() -> set[str]:
    """Every word of the pages that stands in `code`."""
    spans = re.findall(r"`([^`\n]+)`", _prose(TEXT))
    return {word for span in spans for word in re.findall(r"[\w.*@-]+", span)}


def _yaml(name: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(ROOT / name))


def _table(text: str, header: str) -> list[list[str]]:
    """The cells of each row of the table whose header starts so."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(header)) + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


# what the pages tell is complete


def test_every_command_and_option_stands_in_a_page() -> None:
    missing = []
    for name, command in app.commands.items():
        pages = "\n".join(text for text in PAGES.values() if f"motags {name}" in text)
        options = [option.opts[-1] for option in command.params if isinstance(option, click.Option)]
        missing += [f"motags {name}"] * (not pages)
        missing += [f"motags {name} {option}" for option in options if not re.search(rf"{option}(?![\w-])", pages)]
    missing += [f"motags {option.opts[0]}" for option in app.params if f"motags {option.opts[0]}" not in TEXT]
    assert not missing


@pytest.mark.parametrize("names", [_yaml("dvc.yaml")["stages"], _yaml("params.yaml")], ids=["stages", "sections"])
def test_every_stage_and_every_section_of_parameters_stands_in_a_page(names: dict[str, Any]) -> None:
    missing = sorted(set(names) - _code_words())
    assert not missing


def _keys(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _keys(part, name)
    else:
        yield key


def test_every_key_and_file_of_metrics_stands_in_a_page() -> None:
    files = sorted((ROOT / "metrics").glob("*.*"))
    metrics = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in files if path.suffix == ".json"}
    keys = {key for of_file in metrics.values() for key in _keys(of_file)} | set(metrics["metrics.json"])
    missing = sorted(keys - _code_words()) + [path.name for path in files if f"metrics/{path.name}" not in TEXT]
    assert not missing


# what the pages tell is so


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(text), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def _links() -> Iterator[tuple[str, str]]:
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", _prose(text)):
            link = "".join(target)
            if not re.match(r"https?:|mailto:", link):
                yield page, link


def test_every_link_leads_somewhere() -> None:
    dead = []
    for page, link in _links():
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
        name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else link
        known = not anchor or anchor in _anchors(PAGES.get(name, ""))
        if not target.exists() or not known:
            dead.append(f"{page}: {link}")
    assert not dead


def test_every_page_is_linked_from_the_index() -> None:
    linked = {link for page, link in _links() if page == "docs/index.md"} | {"index.md"}
    missing = sorted({Path(page).name for page in PAGES if page.startswith("docs/")} - linked)
    assert not missing


def test_every_file_of_the_project_that_a_page_names_is_there() -> None:
    names = re.findall(r"(?<![\w/.])(?:benchmarks|stages|tests|src)/[\w/-]+\.\w+", TEXT)
    assert "benchmarks/quality/peers.py" in names
    missing = sorted({name for name in names if not (ROOT / name).exists()})
    assert not missing


def test_every_option_that_a_page_shows_is_there() -> None:
    unknown = []
    for name, options in re.findall(r"(?<![\w/])motags ([a-z-]+)((?:\\\n|[^\n`|#&])*)", TEXT):
        command = app.commands.get(name)
        known = {option for param in command.params for option in param.opts} | {"--help"} if command else set()
        unknown += [f"motags {name} {option}" for option in re.findall(r"--[a-z-]+", options) if option not in known]
    assert not unknown


def _has_parameter(path: str) -> bool:
    value: Any = _yaml("params.yaml")
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def test_every_parameter_that_a_page_sets_is_there() -> None:
    names = set(re.findall(r"-S ['\"]?([\w.]+)=", TEXT)) - {"x"}
    assert "clusterer.k" in names
    unknown = sorted(name for name in names if not _has_parameter(name))
    assert not unknown


def _found(path: str) -> object:
    """What a dotted path such as `paper.triplets.mine` names in `motags`."""
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: object = import_module(".".join(["motags", *parts[:cut]]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(path)


PAPER = _table(PAGES["docs/paper.md"], "| # | the paper")


@pytest.mark.parametrize("row", PAPER, ids=[row[0] for row in PAPER])
def test_a_row_of_the_paper_names_stages_functions_and_parameters_that_are_there(row: list[str]) -> None:
    _, _, stages, functions, parameters, _ = (re.findall(r"`([^`]+)`", cell) for cell in row)
    assert set(stages) <= set(_yaml("dvc.yaml")["stages"])
    assert all(map(_has_parameter, parameters))
    for name in functions:
        assert (ROOT / name).is_file() if name.endswith(".py") else callable(_found(name)), name


def test_the_rows_of_the_paper_are_numbered_one_by_one() -> None:
    assert [row[0] for row in PAPER] == [str(number) for number in range(1, 25)]


def test_the_table_of_rows_is_that_of_the_code() -> None:
    shown = [[cell.replace("`", "") for cell in row] for row in _table(PAGES["docs/paper.md"], "| key | label")]
    assert shown == [[*row[:5], ", ".join(row.compared)] for row in ROWS]
    assert {row.stage for row in ROWS} <= set(_yaml("dvc.yaml")["stages"])
    assert all(callable(_found(row.function)) for row in ROWS)


@pytest.mark.slow
def test_the_examples_in_python_run_one_after_the_other(
    tagger_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tagger").symlink_to(tagger_folder)
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    examples = [code for language, code in FENCE.findall(TEXT) if language == "python"]
    assert len(examples) == 4
    names: dict[str, object] = {}
    for example in examples:
        exec(example, names)  # noqa: S102, our own pages
    learned = names["Tagger"].load("my_tagger")  # type: ignore[attr-defined]
    assert "Drama" in learned.tags_
    np.testing.assert_allclose(learned.predict_proba(["A marshal rides into town."]).shape, (1, len(learned.tags_)))
