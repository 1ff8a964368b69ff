"""`motags tag`, as the command line takes it."""

import logging
import math
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motags.commands.options import LIMIT, MODEL, TEXT, reading_rules, spare
from motags.errors import MotagsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from motags.batch.job import Choice, Count, Engine, Shard
    from motags.evidence.onnx_encoder import Backend
    from motags.films.reading import ReadingRules

PATH = click.Path(path_type=Path, allow_dash=True)
KINDS = click.Choice(["jsonl", "csv", "parquet", "table"])
BACKENDS = click.Choice(["int8", "float32", "torch"])


def _shard(ctx: click.Context, param: click.Parameter, value: str) -> "Shard":
    from motags.batch.job import Shard  # noqa: PLC0415

    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value, re.ASCII)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(f"{value!r} is no part such as 1/4, the first of four", ctx, param)
    return Shard(int(found[1]), int(found[2]))


@click.command(no_args_is_help=True)
@click.argument("file", type=PATH)
@MODEL
@click.option("--output", type=PATH, default="-", help="File to write; - is standard output.")
@click.option("--format", "kind", type=KINDS, help="Of the output.  [default: as its name says, or jsonl]")
@TEXT
@click.option("--top", type=click.IntRange(min=1), help="Tags of a film at most.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Least score of a tag.  [default: each tag's own]")
@click.option("--min-tags", type=click.IntRange(min=0), default=0, help="Tags of a film at least: the best.")
@click.option("--all-scores", is_flag=True, help="All tags with their scores.")
@click.option("--backend", type=BACKENDS, default="int8", help="Of the model: int8 is fastest, torch takes a GPU.")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="0: all processors (ray: one per worker).")
@click.option("--chunk", type=click.IntRange(1, 65536), default=256, help="Films tagged and kept at a time.")
@click.option(
    "--shard", metavar="I/N", callback=_shard, default="1/1", help="Tag part i of n only; together they are all films."
)
@LIMIT
@click.option(
    "--vectors",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A file of vectors of the films that the model has learned from too; may be given more than once.",
)
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", help="This machine, or a Ray cluster.")
@reading_rules()
def tag(
    file: Path, model: Path, output: Path, kind: str | None, text: Any, top: int | None, threshold: float | None,
    min_tags: int, all_scores: bool, backend: "Backend", threads: int, chunk: int, shard: "Shard", max_set_aside: float,
    vectors: tuple[Path, ...], engine: str, rules: "ReadingRules",
) -> None:  # fmt: skip
    """Tag the films of FILE: JSON, CSV or parquet, plain or .gz; - reads any of these from standard input.

    A film has an id, a title, and a text, or else a plot, a synopsis or a lead; then what else is known of it: people,
    companies, countries, year, a poster. The more, the better the tags; a film of which nothing is known gets none.
    `motags check FILE` says how it is read.

    With --output, a run that was stopped or killed goes on where it was when the command is given again: what it has
    so far is in OUTPUT.partial. Rows that can't be used end up in OUTPUT.set_aside.jsonl.

    \b
    Example: motags tag films.csv --model models/tagger --output tagged.jsonl
             motags tag films.jsonl --format table | less
             zcat films.jsonl.gz | motags tag - --top 3 > tagged.jsonl
    """
    _refuse_contradictions(top, threshold, min_tags, all_scores)
    _refuse_nan(threshold=threshold, max_set_aside=max_set_aside)
    if output == Path("-") and kind == "parquet":
        raise click.UsageError("parquet goes into a file: name it by --output")
    from motags.batch.formats import kind_of  # noqa: PLC0415
    from motags.batch.job import Choice, Job  # noqa: PLC0415
    from motags.batch.output import provenance_of, tag_to_file, tag_to_stream  # noqa: PLC0415
    from motags.tagger.tagger import Tagger  # noqa: PLC0415

    logging.basicConfig(format="motags: %(message)s")
    logging.getLogger("motags").setLevel(logging.INFO)
    source, to = (None if path == Path("-") else path for path in (file, output))
    kind = kind or (kind_of(to) if to else "jsonl")
    _refuse_files(source, to)
    if kind == "parquet":
        import_module("pyarrow")  # now, not when all is tagged
    tagger = Tagger.load(model, backend=backend, threads=threads)
    job = Job(source, tagger.text_rules_.with_text(text), shard, chunk, max_set_aside, rules, vectors)
    _refuse_unknown(job.own_vectors.kinds, tagger)
    choice = Choice(top, 0.0 if all_scores else threshold, min_tags)
    printed = sys.stdout.buffer
    with _engine(engine, tagger, choice, model, backend, threads) as (run, own_backend):
        if to:
            count = tag_to_file(job, run, to, kind, provenance_of(job, choice, tagger.version_, own_backend))
        else:
            count = tag_to_stream(job, run, printed, kind)
    click.echo(_summary(count, to), err=True)
    if tagger.pictures_ and (unseen := tagger.pictures_.said()):
        click.echo(f"motags: {unseen}", err=True)


def _refuse_unknown(vectors: "Iterable[str]", tagger: Any) -> None:
    if unknown := [name for name in vectors if name not in tagger.evidence_]:
        raise MotagsError(
            f"the model has not learned from vectors {unknown[0]!r}, but from "
            f"{', '.join(['text', *tagger.evidence_])}: name the file as in tagger.vectors.files when it was trained"
        )


def _refuse_contradictions(top: int | None, threshold: float | None, min_tags: int, all_scores: bool) -> None:
    if all_scores and (threshold is not None or min_tags):
        raise click.UsageError("--all-scores gives every tag: leave --threshold and --min-tags out")
    if top is not None and top < min_tags:
        raise click.UsageError(f"--top {top} is less than --min-tags {min_tags}")


def _refuse_files(source: Path | None, to: Path | None) -> None:
    if source and not source.is_file():
        raise MotagsError(f"{source} is missing, or no file")
    if source:
        spare(source, to)
    if to and to.exists() and not to.is_file():
        raise MotagsError(f"{to} is {'a folder' if to.is_dir() else 'no file'}: name a file")


def _refuse_nan(**given: float | None) -> None:
    for name, value in given.items():
        if value is not None and math.isnan(value):  # click's ranges let it through
            raise click.UsageError(f"--{name.replace('_', '-')} is no number")


def _engine(
    name: str, tagger: Any, choice: "Choice", model: Path, backend: "Backend", threads: int
) -> AbstractContextManager[tuple["Engine", "Backend"]]:
    if name == "ray":
        from motags.batch.ray_engine import ModelSpec, on_cluster  # noqa: PLC0415, an extra

        return on_cluster(ModelSpec(model.resolve(), backend, threads, tagger.version_), choice)
    from motags.batch.job import here  # noqa: PLC0415

    return nullcontext((here(tagger, choice), backend))


def _summary(count: "Count", output: Path | None) -> str:
    from motags.batch.output import set_aside_of  # noqa: PLC0415

    said = f"motags: tagged {count.films:,} films"
    if count.without_text:
        said += f"; {count.without_text:,} of them have no text: tagged by what else is known of them, if anything"
    if count.aside:
        said += f"; {count.aside:,} rows can't be used" + (f": {set_aside_of(output)}" if output else "")
    return said
