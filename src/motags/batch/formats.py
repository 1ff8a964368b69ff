"""Answers as JSON Lines, CSV, parquet, or a table to read."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from motags.artifacts import neutral
from motags.batch.job import TaggedFilm
from motags.errors import MotagsError
from motags.terminal import aligned, widths_of

Blocks = Iterable[list[TaggedFilm]]


def kind_of(output: Path) -> str:
    """The format that the name of an output asks for. Raises MotagsError where it asks for none."""
    kind = Path(output.name.removesuffix(".gz")).suffix.lower().removeprefix(".")
    if kind not in {"jsonl", "csv", "parquet"}:
        raise MotagsError(f"{output} ends in no .jsonl, .csv or .parquet (or .gz after it): say which by --format")
    return kind


def write(kind: str, blocks: Blocks, file: IO[bytes]) -> None:
    """Write answers as jsonl, csv, parquet or table, block by block."""
    if kind == "parquet":
        _write_parquet(blocks, file)
        return
    for part in {"jsonl": _jsonl, "csv": _csv, "table": _table}[kind](blocks):
        file.write(part.encode())
        file.flush()


def _jsonl(blocks: Blocks) -> Iterator[str]:
    return (lines_of(block) for block in blocks)


def lines_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _csv(blocks: Blocks) -> Iterator[str]:
    """Tags, and their scores, with `|` between, in lines as of RFC 4180; no text that a spreadsheet would run.

    It begins with the mark of UTF-8, by which a spreadsheet knows the encoding.
    """
    yield "\ufeffid,title,tags,scores,cluster,model_version\r\n"
    for block in blocks:
        text = io.StringIO()
        rows = csv.writer(text)
        for answer in block:
            tags = "|".join(tag["tag"] for tag in answer["tags"])
            scores = "|".join(f"{tag['score']:.4f}" for tag in answer["tags"])
            told = [neutral(value) for value in (answer["id"], answer["title"], tags)]
            rows.writerow([*told, scores, answer["cluster"], answer["model_version"]])
        yield text.getvalue()


def _table(blocks: Blocks) -> Iterator[str]:
    """Columns as wide as the first block needs."""
    widths: list[int] = []
    for block in blocks:
        rows = [[answer["id"], answer["title"] or "", _scored(answer)] for answer in block]
        if not widths:
            rows = [["id", "title", "tags"], *rows]
            widths = widths_of(rows)
        yield aligned(rows, widths)


def _scored(answer: TaggedFilm) -> str:
    return ", ".join(f"{tag['tag']} {tag['score']:.2f}" for tag in answer["tags"])


def _write_parquet(blocks: Blocks, file: IO[bytes]) -> None:
    import pyarrow as pa  # noqa: PLC0415, an extra, and slow to import
    import pyarrow.parquet as pq  # noqa: PLC0415

    tag = pa.struct([("tag", pa.string()), ("score", pa.float32())])
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("title", pa.string()),
            ("tags", pa.list_(tag)),
            ("cluster", pa.int64()),
            ("model_version", pa.string()),
        ]
    )
    with pq.ParquetWriter(file, schema) as writer:
        for block in blocks:
            writer.write_table(pa.Table.from_pylist(block, schema))
