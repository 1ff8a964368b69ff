"""The files that catalogues come in, row by row.

It needs the standard library only, and pyarrow for parquet.
"""

import csv
import gzip
import io
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from motags.errors import MotagsError
from motags.films.values import READ, Unreadable

Row = tuple[int, Any]


MOST_BYTES = 2**24  # of a line or a cell: what is longer is no text of a film, and would fill the memory
BUFFER = 2**20  # bytes of a parquet column that are read at a time


def shown_name(path: Path) -> str:
    """A file's name with marks in the place of what is no UTF-8: it can be written anywhere."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def kind_of(path: Path) -> str:
    """`jsonl`, `csv` or `parquet`, by the end of a file's name, whether gzipped or not. Raises MotagsError."""
    kind = Path(path.name.removesuffix(".gz")).suffix.lower()
    if kind not in READERS:
        raise MotagsError(f"{path}: a catalogue ends in {', '.join(READERS)} (and .gz), not in {kind or 'nothing'!r}")
    return kind[1:]


def rows(path: Path) -> Iterator[Row]:
    """(line, row) pairs of a catalogue, read as a stream; a row that can't be parsed is an `Unreadable`.

    Raises:
        FileNotFoundError: there is no such file.
        MotagsError: of another kind, or damaged.
    """
    kind = kind_of(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from READERS[f".{kind}"](file)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        raise MotagsError(f"{path} can't be read as {kind}: {error}") from error


def jsonl_rows(file: IO[bytes]) -> Iterator[Row]:
    """The rows of JSON Lines."""
    for number, line in _lines(file):
        try:
            if line is None:
                raise ValueError(f"longer than {MOST_BYTES // 2**20} MiB")
            if line.strip():
                yield number, json.loads(line.decode("utf-8-sig"), object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            yield number, Unreadable(f"not a line of JSON: {error}")


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines; None stands for one that is too long, which is passed over without being kept."""
    number = 0
    while line := file.readline(MOST_BYTES):
        number += 1
        too_long = False
        while len(line) == MOST_BYTES and not line.endswith(b"\n"):
            too_long, line = True, file.readline(MOST_BYTES)
        yield number, None if too_long else line


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError(f"an object names {_twice([key for key, _ in pairs])!r} twice")
    return made


def _twice(names: list[str]) -> str:
    return next(name for name, count in Counter(names).items() if count > 1)


def _csv_rows(file: Any) -> Iterator[Row]:
    csv.field_size_limit(MOST_BYTES)  # a text may be longer than the module's 128 KiB
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.DictReader(text, strict=True)
    names = list(reader.fieldnames or [])
    if len(set(names)) < len(names):
        raise csv.Error(f"its header names {_twice(names)!r} twice")
    try:
        for row in reader:
            cells = row.pop(None, None)
            yield reader.line_num, Unreadable("more cells than the header names") if cells else row
    except csv.Error as error:  # where the next row begins can't be told
        raise csv.Error(f"the row after line {reader.line_num}: {error}") from None


def _parquet_rows(file: Any) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415, an extra, and slow to import
    import pyarrow.parquet as pq  # noqa: PLC0415

    number = 0
    try:
        source = pa.BufferReader(file.read()) if isinstance(file, gzip.GzipFile) else file
        table = pq.ParquetFile(source, buffer_size=BUFFER, pre_buffer=False)
        names = table.schema_arrow.names
        if len(set(names)) < len(names):
            raise pa.ArrowInvalid(f"it names the column {_twice(names)!r} twice")
        others = dict.fromkeys(name for name in names if name not in READ)
        for batch in table.iter_batches(batch_size=1024, columns=[name for name in names if name in READ]):
            for row in _parquet_batch(batch):
                yield (number := number + 1), row if isinstance(row, Unreadable) else row | others
    except pa.ArrowException as error:
        raise OSError(str(error)) from error


def _parquet_batch(batch: Any) -> list[Any]:
    try:
        return batch.to_pylist()
    except (ValueError, OverflowError) as error:  # text that is no UTF-8, a date out of range
        if batch.num_rows == 1:
            return [Unreadable(f"a cell that can't be read: {error}")]
        return [row for number in range(batch.num_rows) for row in _parquet_batch(batch.slice(number, 1))]


READERS = {".jsonl": jsonl_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
