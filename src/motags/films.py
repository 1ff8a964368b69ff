"""Film: one record, whatever its sources, and the files that catalogues come in."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from motags.catalogue import READ, Row, Unreadable, id_text, plain_text, rows, shown_name
from motags.errors import MotagsError

log = logging.getLogger(__name__)


def _year(value: Any) -> Any:
    value = plain_text(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _tags(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_named(tag) for tag in value if not isinstance(tag, str) or tag.strip()]
    value = plain_text(value)
    if isinstance(value, str):
        return [_named(tag) for tag in value.split("|") if tag.strip()]
    return [] if value is None else value


def _named(tag: Any) -> Any:
    return {"name": tag} if isinstance(tag, str) else tag


class Tag(BaseModel):
    """A tag as its sources spell it; `kind` is None where they don't say."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    name: Annotated[str, BeforeValidator(plain_text)]
    kind: Literal["genre", "keyword"] | None = None
    sources: list[str] = []


class Origin(BaseModel):
    """What a source was like when it was read: for attribution, and to look it up again."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    licence: str | None = None
    url: str | None = None
    revision: int | None = None
    fetched: str | None = None


class Film(BaseModel):
    """One film.

    `ids` are its ids elsewhere. `origins` says of each field which source it comes from (each tag says
    so itself), `sources` what that source was like.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: Annotated[str, BeforeValidator(id_text)]
    title: Annotated[str, BeforeValidator(plain_text)]
    year: Annotated[Annotated[int, Field(ge=1870, le=2100)] | None, BeforeValidator(_year)] = None
    plot: Annotated[str | None, BeforeValidator(plain_text)] = None
    synopsis: Annotated[str | None, BeforeValidator(plain_text)] = None
    lead: Annotated[str | None, BeforeValidator(plain_text)] = None
    tagline: Annotated[str | None, BeforeValidator(plain_text)] = None
    tags: Annotated[list[Tag], BeforeValidator(_tags)] = []
    ids: dict[str, str] = {}
    posters: list[str] = []
    trailers: list[str] = []
    origins: dict[str, str] = {}
    sources: dict[str, Origin] = {}


COLUMNS = tuple(column for column in READ if column != "text")  # that one is for tagging


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


def film_of(row: Any, source: str) -> Film | str:
    """The film of a row, or the reason why there is none."""
    if isinstance(row, Unreadable):
        return row
    if not isinstance(row, dict):
        return f"a {type(row).__name__} where an object is expected"
    given = {column: row[column] for column in COLUMNS if column in row}
    try:
        film = Film.model_validate(given)
    except ValidationError as error:
        return first_mistake(error)
    tags = [tag.model_copy(update={"sources": [source]}) for tag in film.tags]
    origins = {field: source for field in given if field not in {"id", "tags"} and getattr(film, field)}
    return film.model_copy(update={"tags": tags, "origins": origins, "sources": {source: Origin()}})


def first_mistake(error: ValidationError) -> str:
    """What is wrong with a record, the field first."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']} (got {str(first['input'])[:40]!r})"


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
