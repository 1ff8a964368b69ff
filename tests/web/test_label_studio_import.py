"""What comes back from Label Studio in other encodings, from other controls and in other forms."""

import codecs
import json
from pathlib import Path
from typing import Any

import pytest

from builders import review_store as make
from motags.errors import MotagsError
from motags.web.database import Database
from motags.web.label_studio import read_label_studio, write_label_studio
from motags.web.store import ReviewStore

Json = Any
CHOICES = {"from_name": "tags", "to_name": "text", "type": "choices", "value": {"choices": ["Drama"]}}
OTHERS: dict[str, Json] = {
    "another control": {"from_name": "genre", "to_name": "text", "type": "choices", "value": {"choices": ["Drama"]}},
    "taxonomy": {"from_name": "tags", "to_name": "text", "type": "taxonomy", "value": {"taxonomy": [["Drama"]]}},
    "spans": {
        "from_name": "label", "to_name": "text", "type": "labels",
        "value": {"start": 0, "end": 4, "text": "text", "labels": ["Drama"]},
    },
    "a relation": {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
    "a text area": {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["well"]}},
}  # fmt: skip


@pytest.fixture
def review(tmp_path: Path) -> Path:
    """Films a to d; the model gives `war` to all."""
    make(tmp_path / "review.sqlite", tags={"a": ["Drama", "war"]})
    return tmp_path / "review.sqlite"


@pytest.fixture
def task(review: Path, tmp_path: Path) -> Json:
    write_label_studio(review, tmp_path / "tasks.json")
    return json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))[0]


def annotated(task: Json, *results: list[Json]) -> Json:
    annotations = [{"id": number, "completed_by": 7, "result": result} for number, result in enumerate(results)]
    return task | {"id": 1, "annotations": annotations}


def verdicts(review: Path) -> dict[str, str]:
    found = ReviewStore(Database(review)).history.verdicts("a")
    return {tag: said[0].kind for tag, said in found.items()}


@pytest.mark.parametrize("kind", OTHERS)
def test_an_annotation_without_choices_of_tags_is_set_aside_and_rejects_nothing(
    review: Path, task: Json, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "back.json").write_text(json.dumps([annotated(task, [OTHERS[kind]])]))
    back = read_label_studio(review, tmp_path / "back.json")
    assert (back.kept, back.known, len(back.set_aside)) == (0, 0, 1)
    assert back.set_aside[0].startswith("back.json, task 1: annotation 1: it holds ")
    assert OTHERS[kind]["type"] in back.set_aside[0]
    assert verdicts(review) == {}
    assert ReviewStore(Database(review)).history.done_by() == {}


@pytest.mark.parametrize("kind", OTHERS)
def test_choices_of_tags_count_beside_other_controls(review: Path, task: Json, tmp_path: Path, kind: str) -> None:
    (tmp_path / "back.json").write_text(json.dumps([annotated(task, [OTHERS[kind], CHOICES])]))
    back = read_label_studio(review, tmp_path / "back.json")
    assert (back.kept, back.set_aside) == (1, [])
    assert verdicts(review) == {"Drama": "accept", "war": "reject"}


def test_of_the_annotations_of_a_task_each_is_used_or_set_aside_by_itself(
    review: Path, task: Json, tmp_path: Path
) -> None:
    odd = annotated(task, [OTHERS["spans"]], [CHOICES], [{"type": "choices", "from_name": "tags", "value": 1}])
    odd["annotations"].append(None)
    (tmp_path / "back.json").write_text(json.dumps([odd]))
    back = read_label_studio(review, tmp_path / "back.json")
    assert back.kept == 1
    assert [reason.split(": ")[1] for reason in back.set_aside] == ["annotation 1", "annotation 3", "annotation 4"]
    assert verdicts(review) == {"Drama": "accept", "war": "reject"}


def test_an_annotation_in_which_nothing_was_chosen_rejects_what_was_predicted(
    review: Path, task: Json, tmp_path: Path
) -> None:
    (tmp_path / "back.json").write_text(json.dumps([annotated(task, [])]))
    assert read_label_studio(review, tmp_path / "back.json").kept == 1
    assert verdicts(review) == {"war": "reject"}


def test_a_task_of_json_min_is_set_aside_and_the_right_form_is_named(review: Path, task: Json, tmp_path: Path) -> None:
    short = task["data"] | {"id": 1, "tags": {"choices": ["Drama"]}, "annotator": 1, "annotation_id": 1}
    (tmp_path / "back.json").write_text(json.dumps([short, annotated(task, [CHOICES])]))
    back = read_label_studio(review, tmp_path / "back.json")
    assert back.kept == 1
    assert back.set_aside == [
        "back.json, task 1: it is of the form JSON-MIN, which leaves out what is needed: export the project as JSON"
    ]


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE])
def test_an_export_is_read_in_any_encoding_of_unicode(review: Path, task: Json, tmp_path: Path, mark: bytes) -> None:
    encoding = {
        codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF32_LE: "utf-32-le",
    }.get(mark, "utf-8")  # fmt: skip
    new = CHOICES | {"value": {"choices": ["Café"]}}
    text = json.dumps([annotated(task, [new])], ensure_ascii=False)
    (tmp_path / "back.json").write_bytes(mark + text.encode(encoding))
    assert read_label_studio(review, tmp_path / "back.json").kept == 1
    assert verdicts(review) == {"Café": "add", "war": "reject"}


def test_another_encoding_is_refused_with_the_way_out(review: Path, task: Json, tmp_path: Path) -> None:
    new = CHOICES | {"value": {"choices": ["Café"]}}
    text = json.dumps([annotated(task, [new])], ensure_ascii=False)
    (tmp_path / "back.json").write_bytes(text.encode("cp1252"))
    with pytest.raises(MotagsError, match=r"back\.json is neither UTF-8 nor UTF-16 at byte \d+: save it as UTF-8"):
        read_label_studio(review, tmp_path / "back.json")
