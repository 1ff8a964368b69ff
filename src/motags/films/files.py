"""The files that catalogues come in, row by row: JSON, CSV and parquet, plain or gzipped, or standard input.

It needs the standard library only, and pyarrow for parquet. Which of these a file is its name says; how it is written,
its content.
"""

import codecs
import csv
import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from motags.errors import MotagsError
from motags.films.dialects import dialect_of, known_delimiter
from motags.films.encodings import encoding_of, known_encoding
from motags.films.json_values import DamagedError, JsonFrame
from motags.films.values import Unreadable

Row = tuple[int, Any]

KINDS = {
    ".jsonl": "JSON", ".ndjson": "JSON", ".json": "JSON", ".csv": "CSV", ".tsv": "CSV", ".tab": "CSV",
    ".parquet": "parquet",
}  # fmt: skip
GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
MOST_BYTES = 2**24  # of a line or a cell: what is longer is no text of a film, and would fill the memory
BUFFER = 2**20  # bytes of a parquet column that are read at a time
SAMPLE = 2**18  # bytes of CSV that show its dialect
IN_MEMORY = 2**24  # bytes of standard input that are kept there, before they go to a file


class Frame(Protocol):
    """A file that is open: `names` of its columns as far as they are known, and what is `noted` of its form."""

    names: list[str]
    noted: list[str]

    def rows(self, names: list[str]) -> Iterator[Row]:
        """(line, row) pairs; a row has at least the columns `names`, or is an `Unreadable`."""


def shown_name(path: Path | None) -> str:
    """A file's name with marks in the place of what is no UTF-8: it can be written anywhere."""
    return os.fsencode(path.name).decode("utf-8", "replace") if path else "standard input"


def kind_of(path: Path) -> str:
    """`JSON`, `CSV` or `parquet`, by the end of a file's name, whether gzipped or not. Raises MotagsError."""
    ending = Path(path.name.removesuffix(".gz")).suffix.lower()
    if ending not in KINDS:
        raise MotagsError(f"{path}: a catalogue ends in {', '.join(KINDS)} (and .gz), not in {ending or 'nothing'!r}")
    return KINDS[ending]


@contextmanager
def opened(path: Path | None, encoding: str = "", delimiter: str = "") -> Iterator[Frame]:
    """Open a catalogue; None is standard input, whose content says which kind it is.

    Args:
        encoding, delimiter: of text and of CSV, where they are known.

    Raises:
        FileNotFoundError: there is no such file.
        MotagsError: it is of another kind or damaged, also while rows are read.
    """
    kind = kind_of(path) if path else None
    try:
        with _bytes_of(path) as file:
            kind = kind or _kind_of_content(file)
            yield _frame(file, kind, path, encoding, delimiter)
    except FileNotFoundError:
        raise
    except csv.Error as error:
        raise MotagsError(
            f"{path or 'standard input'} can't be read as CSV: {error}; save it anew as CSV UTF-8, or name what "
            "separates its cells by --separator (crawl.delimiter)"
        ) from error
    except UnicodeError as error:
        raise MotagsError(
            f"{path or 'standard input'} can't be read as {kind}: {error}; save it as UTF-8, or name another "
            "--encoding (crawl.encoding)"
        ) from error
    except (OSError, EOFError, zlib.error, DamagedError) as error:
        raise MotagsError(f"{path or 'standard input'} can't be read as {kind}: {error}") from error


@contextmanager
def _bytes_of(path: Path | None) -> Iterator[Any]:
    """The bytes of a file, unpacked; those of standard input can be read once where they begin like JSON Lines."""
    if path:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file
        return
    stream: Any = sys.stdin.buffer
    if stream.peek(2)[:2] == GZIP:
        stream = io.BufferedReader(gzip.GzipFile(fileobj=stream))
    if stream.peek(1)[:1] == b"{":
        yield stream
        return
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        shutil.copyfileobj(stream, file)
        file.seek(0)
        yield file


def _kind_of_content(file: Any) -> str:
    head = file.peek(64) if hasattr(file, "peek") else file.read(64)
    if file.seekable():
        file.seek(0)
    if head.startswith(PARQUET):
        return "parquet"
    return "JSON" if head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] in {b"[", b"{"} else "CSV"


def _frame(file: Any, kind: str, path: Path | None, encoding: str, delimiter: str) -> Frame:
    if kind == "parquet":
        return ParquetFrame(file)
    detected, certain = "", bool(encoding) or file.seekable()
    if encoding:
        encoding = known_encoding(encoding)
    elif file.seekable():
        encoding, detected = encoding_of(file, str(path or "standard input"))
        file.seek(0)
    else:
        encoding = "utf-8-sig"
    frame: Frame = JsonFrame(file, encoding, certain) if kind == "JSON" else CsvFrame(file, encoding, delimiter)
    if encoding not in {"utf-8", "utf-8-sig"}:
        frame.noted.insert(0, f"encoding {encoding}{f', as {detected} shows' if detected else ''}")
    return frame


class CsvFrame:
    """A table of CSV with a header; rows without any cell are counted in `empty`."""

    def __init__(self, file: IO[bytes], encoding: str, delimiter: str) -> None:
        csv.field_size_limit(MOST_BYTES)  # a text may be longer than the module's 128 KiB
        head = file.read(SAMPLE)
        sample = codecs.getincrementaldecoder(encoding)("surrogateescape").decode(head)
        file.seek(0)
        dialect = dialect_of(sample, len(head) < SAMPLE, known_delimiter(delimiter))
        self.empty = 0
        self.noted = list(dialect.said())
        text = io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="")
        self._lines_before = int(dialect.first_line and bool(text.readline()))
        self._text, self._reader = text, dialect.reader(text)
        self.names = [name.strip() for name in next(self._reader, [])]

    def rows(self, names: list[str]) -> Iterator[Row]:
        """See `Frame`. Raises csv.Error where the next row can't be told from this one."""
        places = [(name, place) for place, name in enumerate(self.names) if name in names]
        width = len(self.names)
        reader = self._reader
        try:
            for cells in reader:
                if not cells:
                    continue
                if not cells[0].strip() and not any(map(str.strip, cells)):
                    self.empty += 1
                    continue
                number = reader.line_num + self._lines_before
                if len(cells) > width and any(map(str.strip, cells[width:])):
                    yield number, Unreadable("more cells than the header names")
                else:
                    yield number, {name: cells[place] for name, place in places if place < len(cells)}
        except csv.Error as error:  # where the next row begins can't be told
            raise csv.Error(f"the row after line {reader.line_num + self._lines_before}: {error}") from None


class ParquetFrame:
    """A parquet file."""

    def __init__(self, file: Any) -> None:
        import pyarrow as pa  # noqa: PLC0415, an extra, and slow to import
        import pyarrow.parquet as pq  # noqa: PLC0415

        self.noted: list[str] = []
        source = file if isinstance(file, io.BufferedReader) and file.seekable() else pa.BufferReader(file.read())
        try:
            self._table = pq.ParquetFile(source, buffer_size=BUFFER, pre_buffer=False)
            self.names: list[str] = self._table.schema_arrow.names
        except pa.ArrowException as error:
            raise OSError(str(error)) from error
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise OSError(f"it names the column {twice[0]!r} twice")

    def rows(self, names: list[str]) -> Iterator[Row]:
        """See `Frame`."""
        import pyarrow as pa  # noqa: PLC0415

        number = 0
        try:
            for batch in self._table.iter_batches(batch_size=1024, columns=names):
                for row in _parquet_batch(batch):
                    yield (number := number + 1), row
        except pa.ArrowException as error:
            raise OSError(str(error)) from error


def _parquet_batch(batch: Any) -> list[Any]:
    try:
        return batch.to_pylist()
    except (ValueError, OverflowError) as error:  # text that is no UTF-8, a date out of range
        if batch.num_rows == 1:
            return [_parquet_row(batch, f"a cell that can't be read: {error}")]
        return [row for number in range(batch.num_rows) for row in _parquet_batch(batch.slice(number, 1))]


def _parquet_row(batch: Any, reason: str) -> Any:
    """The row of a batch of one; a date that Python does not know costs its cell alone."""
    import pyarrow as pa  # noqa: PLC0415

    row = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = column[0].as_py()
        except (ValueError, OverflowError):
            if not pa.types.is_temporal(column.type):
                return Unreadable(reason)
            row[name] = "a date out of range"
    return row
