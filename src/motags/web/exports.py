"""What a review gives: a catalogue to train on, and a table for recommenders."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motags.artifacts import neutral, replacing
from motags.errors import MotagsError
from motags.web.database import Database
from motags.web.decisions import Verdict
from motags.web.store import ReviewStore

Lines = Callable[[ReviewStore], Iterator[str]]
HEADER = ("film", "tag", "value")


@dataclass(frozen=True)
class Counts:
    """What an export holds, and of how many films or tags it says less than the reviewers did.

    Attributes:
        lines: the lines written.
        done: films whose tags the reviewers decided.
        waiting: films with decisions that nobody has done; a catalogue leaves their tags as they were.
        ties: tags for which as many reviewers say yes as no; they stay as the catalogue has them.
    """

    lines: int
    done: int
    waiting: int
    ties: int


def write_catalogue(decisions: Path, output: Path) -> Counts:
    """Write the films as a catalogue (JSON Lines) that `dvc repro` trains on.

    A film that a reviewer has done gets the tags that more reviewers accept than reject, and keeps those of the
    catalogue that no majority rejects. Other films keep their tags.

    Raises:
        MotagsError: there is no such review, or the output can't be written.
    """
    return write(decisions, output, catalogue)


def write_table(decisions: Path, output: Path, scores: bool = False) -> Counts:
    """Write (film, tag, value) as CSV: 1 for a tag that the film has, 0 for one that was rejected.

    Args:
        scores: also the model's score for each suggestion that nobody has decided.

    Raises:
        MotagsError: there is no such review, or the output can't be written.
    """
    return write(decisions, output, lambda store: table(store, scores))


def opened(decisions: Path) -> ReviewStore:
    """The review of a file that exists. Raises MotagsError."""
    if not decisions.exists():
        raise MotagsError(f"{decisions} is missing: `motags review` makes it when films are reviewed")
    return ReviewStore(Database(decisions))


def write(decisions: Path, output: Path, lines: Lines) -> Counts:
    """Write what `lines` gives of a review, whole or not at all."""
    store, number = opened(decisions), 0
    if output.exists() and output.samefile(decisions):
        raise MotagsError(f"{output} is the file of decisions itself: name another output")
    with replacing(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for line in lines(store):
            file.write(line)
            number += line.count("\n")
    film_ids = {film["id"] for film in store.database.read("SELECT id FROM film")}  # decisions on other films stay
    done_films = store.history.done_by().keys() & film_ids
    verdicts = {film: tags for film, tags in store.history.all_verdicts().items() if film in film_ids}
    ties = sum(agreed(tag_verdicts) is None for tags in verdicts.values() for tag_verdicts in tags.values())
    return Counts(number, len(done_films), len(verdicts.keys() - done_films), ties)


def agreed(verdicts: Iterable[Verdict]) -> bool | None:
    """What most reviewers say of a tag; None where as many say yes as no."""
    balance = sum(1 if verdict.yes else -1 for verdict in verdicts)
    return None if balance == 0 else balance > 0


def catalogue(store: ReviewStore) -> Iterator[str]:
    """The lines of `write_catalogue`."""
    done_films, verdicts = store.history.done_by(), store.history.all_verdicts()
    kinds = {tag["name"]: tag["kind"] for tag in store.tags()}
    for film in store.database.read("SELECT id, record FROM film ORDER BY id"):
        record = json.loads(film["record"])
        if film["id"] in done_films:
            record["tags"] = _tags(record["tags"], verdicts.get(film["id"], {}), kinds)
        yield json.dumps(record, ensure_ascii=False) + "\n"


def _tags(catalogue_tags: list[dict[str, Any]], verdicts: dict[str, list[Verdict]], kinds: dict[str, str]) -> list[Any]:
    tags = [tag for tag in catalogue_tags if agreed(verdicts.get(tag["name"], ())) is not False]
    names = {tag["name"] for tag in catalogue_tags}
    additions = sorted(tag for tag, tag_verdicts in verdicts.items() if tag not in names and agreed(tag_verdicts))
    return tags + [{"name": tag} | ({"kind": kinds[tag]} if kinds.get(tag) else {}) for tag in additions]


def table(store: ReviewStore, scores: bool = False) -> Iterator[str]:
    """The lines of `write_table`, after the mark by which a spreadsheet knows UTF-8."""
    yield f"\ufeff{_csv(HEADER)}"
    verdicts = store.history.all_verdicts()
    for film in store.database.read("SELECT id, record FROM film ORDER BY id"):
        tags = {tag["name"]: 1.0 for tag in json.loads(film["record"])["tags"]}
        film_verdicts = verdicts.get(film["id"], {})
        tags |= {tag: float(yes) for tag, votes in film_verdicts.items() if (yes := agreed(votes)) is not None}
        if scores:
            tags = {row["tag"]: row["score"] for row in _undecided(store, film["id"], film_verdicts)} | tags
        for tag in sorted(tags):
            yield _csv((film["id"], tag, f"{tags[tag]:g}"))


def _undecided(store: ReviewStore, film: str, verdicts: dict[str, list[Verdict]]) -> list[sqlite3.Row]:
    rows = store.database.read("SELECT tag, score FROM suggestion WHERE film = :film AND given", film=film)
    return [row for row in rows if row["tag"] not in verdicts]


def _csv(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(neutral, cells))
    return line.getvalue()
