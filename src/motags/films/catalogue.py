"""A catalogue: its films read, what can't be used set aside, records written."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from motags.errors import MotagsError
from motags.films.files import Row
from motags.films.film import Film, film_of
from motags.films.reading import TOLD, Reading, ReadingRules
from motags.films.values import FACTS

log = logging.getLogger(__name__)

CRAWL_LIMIT = "crawl.max_set_aside ="  # what the user of a crawl calls the share that may be set aside
HAVING = ("plot", "synopsis", "lead", "tagline", *FACTS, "tags")  # what a summary counts films with

Made = TypeVar("Made")


class SetAside(BaseModel):
    """What can't be used: where it stands (a line of a file, an id of a source), and why."""

    where: str
    reason: str


def read_catalogue(
    path: Path, max_set_aside: float, rules: ReadingRules | None = None
) -> tuple[list[Film], list[SetAside]]:
    """Read a catalogue: JSON, CSV (with a header) or parquet, plain or gzipped.

    Columns: those of `values.READ`, and names that other catalogues have for them. Others are ignored. What is taken,
    changed and ignored is said once in the log.

    Args:
        path: a file whose name says which kind it is, with or without .gz.
        max_set_aside: the largest share of rows that may be set aside, from 0 to 1.

    Returns:
        The films sorted by id, and the rows set aside, in the order of the file.

    Raises:
        MotagsError: the file is missing, of another kind, damaged, empty, has no column of texts or too many bad rows.
    """
    return sorted_films(Reading(path, rules), max_set_aside, CRAWL_LIMIT, lambda film, _: film)


def sorted_films(
    reading: Reading, max_set_aside: float, limit: str, made: Callable[[Film, dict[str, Any]], Made]
) -> tuple[list[Made], list[SetAside]]:
    """What is made of each film and its row, sorted by id; and the rows set aside. It says what was understood.

    Args:
        max_set_aside: the largest share of rows that may be set aside, from 0 to 1; limit: what the user calls it.

    Raises:
        MotagsError: as `read_catalogue`.
    """
    aside: list[SetAside] = []
    films = [(film.id, made(film, row)) for film, row in usable_films(reading, aside)]
    films.sort(key=itemgetter(0))
    if said := reading.said():
        log.info("%s: %s", reading.source, "; ".join(said))
    warn_of(aside)
    refuse_if_bad(len(films), aside, max_set_aside, limit)
    return [own for _, own in films], aside


def usable_films(reading: Reading, aside: list[SetAside]) -> Iterator[tuple[Film, dict[str, Any]]]:
    """Yield the films of a catalogue with their rows; add what can't be used to `aside`. Raises as `read_catalogue`."""
    ids: set[str] = set()
    for line, row in _rows(reading):
        film = film_of(row, reading.name)
        if isinstance(film, Film) and film.id in ids:
            film = f"id: {film.id!r} is the id of an earlier row too"
        if isinstance(film, str):
            aside.append(SetAside(where=f"{reading.name}, line {line}", reason=film))
        else:
            ids.add(film.id)
            yield film, row
    if not ids and not aside:
        raise MotagsError(f"{reading.source or reading.name} holds no films: a catalogue has one row per film")


def warn_of(aside: list[SetAside]) -> None:
    """Say in the log what was set aside first."""
    for row in aside[:TOLD]:
        log.warning("%s set aside: %s", row.where, row.reason)


def _rows(reading: Reading) -> Iterator[Row]:
    try:
        yield from reading
    except FileNotFoundError:
        raise MotagsError(f"{reading.source} is missing: crawl.catalogue names the catalogue to read") from None


def refuse_if_bad(films: int, aside: list[SetAside], max_set_aside: float, limit: str = CRAWL_LIMIT) -> None:
    """Raise MotagsError where too large a share was set aside; it names the field that most are set aside for.

    Args:
        limit: what the user calls `max_set_aside`.
    """
    if len(aside) > max_set_aside * (films + len(aside)):
        field, first = _most_common(aside)
        raise MotagsError(
            f"{len(aside)} of {films + len(aside)} films can't be used, more than {limit} {max_set_aside:g} allows, "
            f"most of them for {field!r}; the first of these is {first.where}: {first.reason}"
        )


def _most_common(aside: list[SetAside]) -> tuple[str, SetAside]:
    field = Counter(map(field_of, aside)).most_common(1)[0][0]
    return field, next(row for row in aside if field_of(row) == field)


def field_of(row: SetAside) -> str:
    """The field that a row was set aside for, or its form."""
    return row.reason.split(":")[0].split(".")[0]


def summary(films: Iterable[Film], aside: list[SetAside]) -> dict[str, object]:
    """How many films there are, how many have what, and for which field (or form) others were set aside."""
    having = Counter(dict.fromkeys(HAVING, 0))
    count, tags = 0, 0
    for film in films:
        count, tags = count + 1, tags + len(film.tags)
        having.update(field for field in HAVING if getattr(film, field))
    return {
        "films": count,
        "having": dict(having),
        "tags": tags,
        "set_aside": len(aside),
        "set_aside_for": dict(Counter(map(field_of, aside))),
    }


def write_rows(path: Path, rows: Iterable[BaseModel]) -> int:
    """Write records as JSON Lines, without fields that say nothing; give their number."""
    number = 0
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows, start=1):  # noqa: B007, the last number counts
            file.write(row.model_dump_json(exclude_defaults=True) + "\n")
    return number


def read_films(folder: Path) -> Iterator[Film]:
    """Read the films.jsonl of a folder, film by film."""
    with (folder / "films.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield Film.model_validate_json(line)
