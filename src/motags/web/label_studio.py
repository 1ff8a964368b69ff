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
        tag_rows = store.database.read(GIVEN, film=film["id"])
        data = {name: film[name] for name in ("title", "year", "text")} | {
            "film": film["id"], "predicted": [row["tag"] for row in tag_rows], "model_version": film["version"] or "",
        }  # fmt: skip
        task = {"data": data, "predictions": _predictions(tag_rows, film["version"])}
        yield (",\n" if number else "\n") + json.dumps(task, ensure_ascii=False)
    yield "\n]\n"


def _predictions(suggestions: list[sqlite3.Row], version: str | None) -> list[dict[str, Any]]:
    if version is None:
        return []
    choices = {"choices": [row["tag"] for row in suggestions]}
    result = [{"from_name": "tags", "to_name": "text", "type": "choices", "value": choices}] if suggestions else []
    mean_score = sum(row["score"] for row in suggestions) / max(len(suggestions), 1)
    return [{"model_version": version, "score": round(mean_score, 4), "result": result}]


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
            known_tags = {known.tag for known in rows}
            chosen_tags, seen_tags = (
                {tag if tag in known_tags else tag_name(tag) for tag in tags}
                for tags in (_choices(annotation["result"]), predicted)
            )
            reviewer = _reviewer(annotation.get("completed_by"))
            decisions = _decisions(rows, seen_tags, chosen_tags, reviewer)
            kept = store.history.keep(_act(film, annotation, chosen_tags), reviewer, film, decisions, version)
            back.kept, back.known = back.kept + kept, back.known + (not kept)


def _texts(value: Any) -> list[str]:
    if not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
        raise TypeError("no list of texts")
    return value


def _choices(result: list[Any]) -> list[str]:
    """The tags chosen. Raises MotagsError where other controls were used and the one of tags was not."""
    ours = [part for part in result if part["type"] == "choices" and part.get("from_name") == "tags"]
    if result and not ours:
        controls = ", ".join(sorted({f"{part['type']} of {part.get('from_name')!r}" for part in result}))
        raise MotagsError(f"it holds {controls}, and no choices of 'tags': nothing is taken from it")
    return [tag for part in ours for tag in _texts(part["value"]["choices"])]


def _decisions(rows: list[TagRow], predicted_tags: set[str], chosen_tags: set[str], reviewer: str) -> list[Decision]:
    """The decisions of an annotation; tags that its reviewer did not see, neither predicted nor his own, get none."""
    known_tags = {row.tag for row in rows}
    seen_tags = predicted_tags | {
        row.tag for row in rows if any(verdict.reviewer == reviewer for verdict in row.verdicts)
    }
    accepted: list[Decision] = [("accept" if tag in known_tags else "add", tag) for tag in sorted(chosen_tags)]
    return [*accepted, *(("reject", tag) for tag in sorted(seen_tags - chosen_tags)), ("done", None)]


def _reviewer(account: Any) -> str:
    if isinstance(account, dict):
        account = account.get("email") or account.get("id")
    return reviewer_name(account if isinstance(account, str) else f"label-studio-{account}")


def _act(film: str, annotation: dict[str, Any], chosen_tags: set[str]) -> str:
    """Names an annotation as it is now: one that was changed since is a further act."""
    state = [annotation.get(name) for name in ("id", "unique_id", "updated_at")]
    identity = [film, *state, sorted(chosen_tags)]
    return f"label-studio-{hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()[:32]}"
