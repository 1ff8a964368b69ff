"""Label Studio: its tasks out, with the model's tags as predictions, and what was decided there back in."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from motags.artifacts import replacing
from motags.errors import MotagsError
from motags.web.decisions import Decision, reviewer_name, tag_name
from motags.web.exports import Counts, opened, write
from motags.web.store import ReviewStore, TagRow

GIVEN = "SELECT tag, score FROM suggestion WHERE film = :film AND given ORDER BY score DESC"
FORM = "it is not of the form that Label Studio exports as JSON"
MIN = "it is of the form JSON-MIN, which leaves out what is needed: export the project as JSON"
CONFIG = """<View>
  <Header value="$title"/>
  <Text name="text" value="$text"/>
  <Choices name="tags" toName="text" choice="multiple" showInline="true">
{choices}  </Choices>
</View>
"""


@dataclass
class TakenBack:
    """What came back: annotations kept, those that had been kept before, and why tasks or annotations can't be used."""

    kept: int = 0
    known: int = 0
    set_aside: list[str] = field(default_factory=list)


def write_label_studio(decisions: Path, output: Path) -> Counts:
    """Write the films as tasks for Label Studio, with the model's tags as predictions.

    Beside it, under the same name with the ending .xml, stands the labelling set-up that fits.

    Raises:
        MotagsError: there is no such review, or the output can't be written.
    """
    beside = output.with_suffix(".xml")
    if output == beside:
        raise MotagsError(f"{output} is where the labelling set-up goes: end the output's name in .json")
    counts = write(decisions, output, tasks)
    with replacing(beside) as temporary:
        temporary.write_text(config(opened(decisions)), encoding="utf-8")
    return counts


def tasks(store: ReviewStore) -> Iterator[str]:
    """The tasks of `write_label_studio`, as one JSON list with a line a film.

    What was predicted stands in `data` too, which comes back as it went; of predictions Label Studio gives the numbers.
    """
    query = (
        "SELECT f.id, f.title, f.year, f.text, s.version FROM film AS f LEFT JOIN scored AS s ON s.film = f.id"
        " WHERE f.text <> '' ORDER BY f.id"
    )
    yield "["
    for number, film in enumerate(store.database.read(query)):
        given = store.database.read(GIVEN, film=film["id"])
        data = {name: film[name] for name in ("title", "year", "text")} | {
            "film": film["id"], "predicted": [row["tag"] for row in given], "model_version": film["version"] or "",
        }  # fmt: skip
        task = {"data": data, "predictions": _predictions(given, film["version"])}
        yield (",\n" if number else "\n") + json.dumps(task, ensure_ascii=False)
    yield "\n]\n"


def _predictions(given: list[sqlite3.Row], version: str | None) -> list[dict[str, Any]]:
    if version is None:
        return []
    choices = {"choices": [row["tag"] for row in given]}
    result = [{"from_name": "tags", "to_name": "text", "type": "choices", "value": choices}] if given else []
    sure = sum(row["score"] for row in given) / max(len(given), 1)
    return [{"model_version": version, "score": round(sure, 4), "result": result}]


def config(store: ReviewStore) -> str:
    """The labelling set-up for the tasks: the text, and all tags to choose from."""
    return CONFIG.format(choices="".join(f"    <Choice value={quoteattr(tag['name'])}/>\n" for tag in store.tags()))


def read_label_studio(decisions: Path, source: Path) -> TakenBack:
    """Keep what was decided in Label Studio, from its JSON export; reading it again keeps nothing twice.

    Each annotation counts as one reviewer's act on its film: the choices are accepted, the predictions that were not
    chosen are rejected, and the film is done. Cancelled annotations are passed over; those that hold something, but no
    choices of the control `tags`, are set aside. A reviewer is named by email, or as `label-studio-` and a number.

    Args:
        source: JSON in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        MotagsError: there is no such review, or the file is no such export.
    """
    store, back = opened(decisions), TakenBack()
    for number, task in enumerate(_exported(source), start=1):
        with _setting_aside(back, f"{source.name}, task {number}"):
            if isinstance(task, dict) and "annotations" not in task and "annotation_id" in task:
                raise MotagsError(MIN)
            _take(store, task, back, f"{source.name}, task {number}")
    return back


@contextmanager
def _setting_aside(back: TakenBack, where: str) -> Iterator[None]:
    """Set aside what the block can't use."""
    try:
        yield
    except MotagsError as error:
        back.set_aside.append(f"{where}: {error}")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        back.set_aside.append(f"{where}: {FORM}")


def _exported(source: Path) -> list[Any]:
    try:
        content = source.read_bytes()
        tasks = json.loads(content.decode(json.detect_encoding(content)))
    except FileNotFoundError:
        raise MotagsError(f"{source} is missing: export the project in Label Studio as JSON") from None
    except UnicodeDecodeError as error:
        raise MotagsError(f"{source} is neither UTF-8 nor UTF-16 at byte {error.start}: save it as UTF-8") from None
    except (ValueError, RecursionError, OSError) as error:
        raise MotagsError(f"{source} can't be read as JSON: {error}") from None
    if not isinstance(tasks, list):
        raise MotagsError(f"{source} holds no list of tasks: export the project in Label Studio as JSON")
    return tasks


def _take(store: ReviewStore, task: Any, back: TakenBack, where: str) -> None:
    data = task["data"]
    film, version = str(data["film"]), str(data.get("model_version") or "")
    predicted = _texts(data.get("predicted", []))  # of a task that was not made here nothing is known
    if not (row := store.film(film)):
        raise MotagsError(f"the catalogue has no film {film!r}")
    for number, annotation in enumerate(task["annotations"], start=1):
        with _setting_aside(back, f"{where}: annotation {number}"):
            if annotation.get("was_cancelled"):
                continue
            rows = store.rows(row)
            offered = {known.tag for known in rows}
            chosen, seen = (
                {tag if tag in offered else tag_name(tag) for tag in tags}
                for tags in (_choices(annotation["result"]), predicted)
            )
            reviewer = _reviewer(annotation.get("completed_by"))
            decisions = _decisions(rows, seen, chosen, reviewer)
            kept = store.history.keep(_act(film, annotation, chosen), reviewer, film, decisions, version)
            back.kept, back.known = back.kept + kept, back.known + (not kept)


def _texts(given: Any) -> list[str]:
    if not (isinstance(given, list) and all(isinstance(one, str) for one in given)):
        raise TypeError("no list of texts")
    return given


def _choices(result: list[Any]) -> list[str]:
    """The tags chosen. Raises MotagsError where other controls were used and the one of tags was not."""
    ours = [part for part in result if part["type"] == "choices" and part.get("from_name") == "tags"]
    if result and not ours:
        controls = ", ".join(sorted({f"{part['type']} of {part.get('from_name')!r}" for part in result}))
        raise MotagsError(f"it holds {controls}, and no choices of 'tags': nothing is taken from it")
    return [tag for part in ours for tag in _texts(part["value"]["choices"])]


def _decisions(rows: list[TagRow], predicted: set[str], chosen: set[str], reviewer: str) -> list[Decision]:
    """Tags that were not predicted then, nor are the reviewer's own, were not before him: nothing is said of them."""
    offered = {row.tag for row in rows}
    seen = predicted | {row.tag for row in rows if any(own.reviewer == reviewer for own in row.verdicts)}
    yes: list[Decision] = [("accept" if tag in offered else "add", tag) for tag in sorted(chosen)]
    return [*yes, *(("reject", tag) for tag in sorted(seen - chosen)), ("done", None)]


def _reviewer(given: Any) -> str:
    if isinstance(given, dict):
        given = given.get("email") or given.get("id")
    return reviewer_name(given if isinstance(given, str) else f"label-studio-{given}")


def _act(film: str, annotation: dict[str, Any], chosen: set[str]) -> str:
    """Names an annotation as it is now: one that was changed since is a further act."""
    about = [film, annotation.get("id"), annotation.get("unique_id"), annotation.get("updated_at"), sorted(chosen)]
    return f"label-studio-{hashlib.sha256(json.dumps(about, default=str).encode()).hexdigest()[:32]}"
