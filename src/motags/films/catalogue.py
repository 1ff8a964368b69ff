"""A catalogue: its films read, what can't be used set aside, records written."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from motags.errors import MotagsError
from motags.films.files import Row
from motags.films.film import Film, film_of
from motags.films.reading import Reading, ReadingRules

log = logging.getLogger(__name__)

TOLD = 5  # rows set aside that the log tells of


class SetAside(BaseModel):
    """What can't be used: where it stands (a line of a file, an id of a source), and why."""

    where: str
    reason: str


def read_catalogue(
    path: Path, max_set_aside: float, rules: ReadingRules | None = None
) -> tuple[list[Film], list[SetAside]]:
    """Read a catalogue: JSON, CSV (with a header) or parquet, plain or gzipped.

    Columns: id, title, year, plot, synopsis, lead, tagline, text, tags (a list, or text with a separator), and names
    that other catalogues have for them. Others are ignored. What is taken, changed and ignored is said once in the log.

    Args:
        path: a file whose name says which kind it is, with or without .gz.
        max_set_aside: the largest share of rows that may be set aside, from 0 to 1.

    Returns:
        The films sorted by id, and the rows set aside, in the order of the file.

    Raises:
        MotagsError: the file is missing, of another kind, damaged, empty, has no column of texts or too many bad rows.
    """
    reading, aside = Reading(path, rules), list[SetAside]()
    films = sorted((film for film, _ in usable_films(reading, aside)), key=lambda film: film.id)
    tell(reading, aside)
    refuse_if_bad(len(films), aside, max_set_aside)
    return films, aside


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


def tell(reading: Reading, aside: list[SetAside]) -> None:
    """Say in the log what was understood of a catalogue that is read, and what was set aside first."""
    if said := reading.said():
        log.info("%s: %s", reading.source, "; ".join(said))
    warn_of(aside)


def warn_of(aside: list[SetAside]) -> None:
    """Say in the log what was set aside first."""
    for row in aside[:TOLD]:
        log.warning("%s set aside: %s", row.where, row.reason)


def _rows(reading: Reading) -> Iterator[Row]:
    try:
        yield from reading
    except FileNotFoundError:
        raise MotagsError(f"{reading.source} is missing: crawl.catalogue names the catalogue to read") from None


def refuse_if_bad(
    films: int, aside: list[SetAside], max_set_aside: float, limit: str = "crawl.max_set_aside ="
) -> None:
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
    having = Counter({"plot": 0, "synopsis": 0, "lead": 0, "tags": 0})
    count, tags = 0, 0
    for film in films:
        count, tags = count + 1, tags + len(film.tags)
        having.update(field for field in having if getattr(film, field))
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
