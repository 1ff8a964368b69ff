"""Film: one record of a catalogue, and the files that catalogues come in."""

import csv
import gzip
import io
import json
import logging
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from motags.errors import MotagsError

log = logging.getLogger(__name__)

Row = tuple[int, Any]


class Unreadable(str):
    """The reason why a row could not be parsed, in the place of the row."""

    __slots__ = ()


def _text(value: Any) -> Any:
    """An absent text may be null, NaN or blank; text that is no UTF-8 came in as lone surrogates."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ValueError("not valid UTF-8")
        return value.strip() or None
    return value


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _year(value: Any) -> Any:
    value = _text(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _tags(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [tag for tag in map(_text, value) if tag is not None]
    value = _text(value)
    if isinstance(value, str):
        return [tag.strip() for tag in value.split("|") if tag.strip()]
    return [] if value is None else value


class Film(BaseModel):
    """One film as its catalogue gives it. `source` names the catalogue."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: Annotated[str, BeforeValidator(_id)]
    title: Annotated[str, BeforeValidator(_text)]
    year: Annotated[Annotated[int, Field(ge=1870, le=2100)] | None, BeforeValidator(_year)] = None
    plot: Annotated[str | None, BeforeValidator(_text)] = None
    synopsis: Annotated[str | None, BeforeValidator(_text)] = None
    tags: Annotated[list[str], BeforeValidator(_tags)] = []
    source: str


class SetAside(BaseModel):
    """A row that can't be used: its line (or row) in the catalogue, from 1, and why."""

    line: int
    reason: str


class CrawlParams(BaseModel):
    """Section `crawl` of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    catalogue: Annotated[str, Field(min_length=1)]
    max_set_aside: Annotated[float, Field(ge=0, le=1)]


def read_catalogue(path: Path, max_set_aside: float) -> tuple[list[Film], list[SetAside]]:
    """Read a catalogue: JSON Lines, CSV (with a header) or parquet, plain or gzipped.

    Columns: id, title, year, plot, synopsis, tags (a list, or text with `|` between tags). Others
    are ignored, and named once in the log.

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
    for line, row in _rows(path):
        film = _film(row, path.name)
        if isinstance(film, Film) and film.id in films:
            film = f"id: {film.id!r} is the id of an earlier row too"
        if isinstance(film, str):
            aside.append(SetAside(line=line, reason=film))
        else:
            films[film.id] = film
            unknown |= row.keys() - (Film.model_fields.keys() - {"source"})
    if unknown:
        log.info("%s: columns ignored: %s", path, ", ".join(sorted(map(str, unknown))))
    _refuse_if_bad(path, len(films), aside, max_set_aside)
    return [films[key] for key in sorted(films)], aside


def _refuse_if_bad(path: Path, films: int, aside: list[SetAside], max_set_aside: float) -> None:
    for row in aside[:5]:
        log.warning("%s, line %d set aside: %s", path, row.line, row.reason)
    if not films and not aside:
        raise MotagsError(f"{path} holds no films: give crawl.catalogue a file with at least a row a film")
    if len(aside) > max_set_aside * (films + len(aside)):
        raise MotagsError(
            f"{path}: {len(aside)} of {films + len(aside)} rows can't be used, more than crawl.max_set_aside = "
            f"{max_set_aside:g} allows; the first is line {aside[0].line}: {aside[0].reason}"
        )


def _film(row: Any, source: str) -> Film | str:
    """The film of a row, or the reason why there is none."""
    if isinstance(row, Unreadable):
        return row
    if not isinstance(row, dict):
        return f"a {type(row).__name__} where an object is expected"
    try:
        return Film.model_validate(row | {"source": source})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']} (got {str(first['input'])[:40]!r})"


def _rows(path: Path) -> Iterator[Row]:
    """(line, row) pairs; a row that can't be parsed is an `Unreadable`."""
    readers = {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
    kind = Path(path.name.removesuffix(".gz")).suffix.lower()
    if kind not in readers:
        raise MotagsError(f"{path}: a catalogue ends in {', '.join(readers)} (and .gz), not in {kind or 'nothing'!r}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from readers[kind](file)
    except FileNotFoundError:
        raise MotagsError(f"{path} is missing: crawl.catalogue names the catalogue to read") from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, pa.ArrowException, csv.Error) as error:
        raise MotagsError(f"{path} can't be read as {kind[1:]}: {error}") from error


def _jsonl_rows(file: Any) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        try:
            if line.strip():
                yield number, json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            yield number, Unreadable(f"not a line of JSON: {error}")


def _csv_rows(file: Any) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # a text may be longer than the module's 128 KiB
    reader = csv.DictReader(
        io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=""), strict=True
    )
    for row in reader:
        cells = row.pop(None, None)
        yield reader.line_num, Unreadable("more cells than the header names") if cells else row


def _parquet_rows(file: Any) -> Iterator[Row]:
    number = 0
    for batch in pq.ParquetFile(pa.BufferReader(file.read())).iter_batches():
        for row in batch.to_pylist():
            yield (number := number + 1), row


def crawl_summary(films: list[Film], aside: list[SetAside]) -> dict[str, object]:
    """How many films were read, how many rows set aside, and for which field (or for their form)."""
    return {
        "films": len(films),
        "set_aside": len(aside),
        "set_aside_for": dict(Counter(row.reason.split(":")[0].split(".")[0] for row in aside)),
    }


def write_films(folder: Path, films: list[Film], aside: list[SetAside]) -> None:
    """Write films.jsonl and set_aside.jsonl into `folder`, a row a line."""
    folder.mkdir()
    for name, rows in (("films", films), ("set_aside", aside)):
        lines = "".join(row.model_dump_json() + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def read_films(folder: Path) -> list[Film]:
    """Read what `write_films` wrote."""
    with (folder / "films.jsonl").open(encoding="utf-8") as lines:
        return [Film.model_validate_json(line) for line in lines]
