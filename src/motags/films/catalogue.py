"""A catalogue: its films read, what can't be used set aside, records written."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel

from motags.errors import MotagsError
from motags.films.files import Row, rows, shown_name
from motags.films.film import COLUMNS, Film, film_of

log = logging.getLogger(__name__)


class SetAside(BaseModel):
    """What can't be used: where it stands (a line of a file, an id of a source), and why."""

    where: str
    reason: str


def read_catalogue(path: Path, max_set_aside: float) -> tuple[list[Film], list[SetAside]]:
    """Read a catalogue: JSON Lines, CSV (with a header) or parquet, plain or gzipped.

    Columns: id, title, year, plot, synopsis, lead, tagline, tags (a list, or text with `|` between
    tags). Others are ignored, and named once in the log.

    Args:
        path: a file whose name ends in .jsonl, .csv or .parquet, with or without .gz.
        max_set_aside: the largest share of rows that may be set aside, from 0 to 1.

    Returns:
        The films sorted by id, and the rows set aside, in the order of the file.

    Raises:
        MotagsError: the file is missing, of another kind, damaged, empty, or has too many bad rows.
    """
    films: dict[str, Film] = {}
    aside: list[SetAside] = []
    unknown: set[str] = set()
    name = shown_name(path)
    for line, row in _rows(path):
        film = film_of(row, name)
        if isinstance(film, Film) and film.id in films:
            film = f"id: {film.id!r} is the id of an earlier row too"
        if isinstance(film, str):
            aside.append(SetAside(where=f"{name}, line {line}", reason=film))
        else:
            films[film.id] = film
            unknown |= row.keys() - set(COLUMNS)
    if unknown:
        log.info("%s: columns ignored: %s", path, ", ".join(sorted(map(str, unknown))))
    if not films and not aside:
        raise MotagsError(f"{path} holds no films: a catalogue has one row per film")
    refuse_if_bad(len(films), aside, max_set_aside)
    return [films[key] for key in sorted(films)], aside


def _rows(path: Path) -> Iterator[Row]:
    try:
        yield from rows(path)
    except FileNotFoundError:
        raise MotagsError(f"{path} is missing: crawl.catalogue names the catalogue to read") from None


def refuse_if_bad(films: int, aside: list[SetAside], max_set_aside: float) -> None:
    """Raise MotagsError where too large a share was set aside; it names the field that most are set aside for."""
    for row in aside[:5]:
        log.warning("%s set aside: %s", row.where, row.reason)
    if len(aside) > max_set_aside * (films + len(aside)):
        field, first = _most_common(aside)
        raise MotagsError(
            f"{len(aside)} of {films + len(aside)} films can't be used, more than crawl.max_set_aside = "
            f"{max_set_aside:g} allows, most of them for {field!r}; the first of these is {first.where}: {first.reason}"
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
