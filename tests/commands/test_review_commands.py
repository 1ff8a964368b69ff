"""`motags review` and its exports, as a user types them; the page has tests of its own."""

import csv
import json
import re
import signal
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from builders import MOTAGS, motags, put, sample_films

pytestmark = pytest.mark.slow

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory, tagger_folder: Path) -> Path:
    """The file of a review that was opened, looked at and stopped by Ctrl-C."""
    folder = tmp_path_factory.mktemp("review")
    films = folder / "films.jsonl"
    films.write_text("".join(json.dumps(film) + "\n" for film in sample_films(5)), encoding="utf-8")
    command = [MOTAGS, "review", str(films), "--model", str(tagger_folder), "--port", "0", "--reviewer", "Ada"]
    page = subprocess.Popen(
        [*command, "--decisions", str(folder / "review.sqlite")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert page.stdout
    said = page.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+/\S*", said)
    assert address, said
    with urlopen(address[0]) as answer:  # noqa: S310, it is on loopback
        assert answer.status == 200
        assert sample_films(1)[0]["title"] in answer.read().decode()
    page.send_signal(signal.SIGINT)
    _, mistakes = page.communicate(timeout=30)
    assert (page.returncode, "Traceback" in mistakes) == (0, False)
    return folder / "review.sqlite"


def test_a_review_is_exported_for_training_label_studio_and_recommenders(decisions: Path, tmp_path: Path) -> None:
    made = {kind: tmp_path / f"out.{kind}" for kind in ("catalogue", "label-studio", "table")}
    for kind, output in made.items():
        done = motags("review-export", str(output), "--format", kind, "--decisions", str(decisions))
        assert (done.returncode, done.stdout) == (0, "")
        assert "0 films done" in done.stderr
    ids = {film["id"] for film in sample_films(5)}
    assert {json.loads(line)["id"] for line in made["catalogue"].read_text().splitlines()} == ids
    assert {task["data"]["film"] for task in json.loads(made["label-studio"].read_text())} == ids
    with made["table"].open(newline="", encoding="utf-8-sig") as file:
        assert {row["film"] for row in csv.DictReader(file)} == ids


def test_what_label_studio_exports_is_read_back_once(decisions: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.json"
    call = ("--decisions", str(decisions))
    assert motags("review-export", str(tasks), "--format", "label-studio", *call).returncode == 0
    choice = {"from_name": "tags", "to_name": "text", "type": "choices", "value": {"choices": ["Drama"]}}
    annotation = {"id": 1, "completed_by": {"email": "bo@example.org"}, "result": [choice]}
    exported = [task | {"annotations": [annotation]} for task in json.loads(tasks.read_text())]
    back = put(tmp_path / "back.json", json.dumps([*exported, {"id": 7}]).encode())
    first, again = (motags("review-import", str(back), *call) for _ in range(2))
    assert first.stderr.splitlines()[-1] == "motags: 5 annotations kept, 0 were known, 1 tasks set aside"
    assert again.stderr.splitlines()[-1] == "motags: 0 annotations kept, 5 were known, 1 tasks set aside"
    done = motags("review-export", str(tmp_path / "out.jsonl"), *call)
    assert "5 films done" in done.stderr


def test_mistakes_are_one_line(decisions: Path, tmp_path: Path, tagger_folder: Path) -> None:
    none, output = str(tmp_path / "none"), str(tmp_path / "out")
    tasks = put(tmp_path / "tasks.json", b"[{}, {}]")
    for words, code, says in (
        (["review-export", output, "--decisions", none], 1, "is missing: `motags review` makes it"),
        (["review-export", output, "--decisions", str(decisions), "--scores"], 2, "--scores goes with --format table"),
        (["review-import", none, "--decisions", str(decisions)], 1, none),
        (["review-export", output, "--decisions", str(tasks)], 1, str(tasks)),
        (["review-export", str(decisions), "--decisions", str(decisions)], 1, "is the file of decisions itself"),
        (["review-import", str(tasks), "--decisions", str(decisions)], 1, "none of the 2 tasks can be used"),
        (["review", none, "--model", str(tagger_folder), "--decisions", output, "--port", "0"], 1, none),
    ):
        done = motags(*words)
        assert (done.returncode, done.stdout) == (code, "")
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1
