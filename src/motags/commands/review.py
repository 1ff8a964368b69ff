"""`motags review`, `review-export` and `review-import`, as the command line takes them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from motags.commands.options import LIMIT, MODEL, reading_rules
from motags.errors import MotagsError

if TYPE_CHECKING:
    from motags.films.reading import ReadingRules
    from motags.web.exports import Counts

PATH = click.Path(path_type=Path)
DECISIONS = click.option("--decisions", type=PATH, default="review.sqlite", help="File of the decisions.")
FORMATS = click.Choice(["catalogue", "label-studio", "table"])


@click.command(no_args_is_help=True)
@click.argument("file", type=PATH)
@MODEL
@DECISIONS
@click.option("--host", default="127.0.0.1", help="Address to serve on; one that is not loopback needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8737, help="Port to serve on; 0 takes a free one.")
@click.option("--reviewer", help="Name of the reviewer.  [default: the user's name]")
@LIMIT
@reading_rules(with_tags=True)
def review(
    file: Path, model: Path, decisions: Path, host: str, port: int, reviewer: str | None, max_set_aside: float,
    rules: "ReadingRules",
) -> None:  # fmt: skip
    """Open the page on which experts approve the tags of FILE.

    \b
    Example: motags review films.jsonl --model models/tagger --decisions review.sqlite
    """
    from motags.web.server import serve  # noqa: PLC0415

    serve(file, model, decisions, host, port, reviewer, announce=click.echo, max_set_aside=max_set_aside, rules=rules)


@click.command("review-export", no_args_is_help=True)
@click.argument("output", type=PATH)
@DECISIONS
@click.option(
    "--format", "kind", type=FORMATS, default="catalogue",
    help="Films to train on, tasks for Label Studio, or a CSV table for recommenders.",
)  # fmt: skip
@click.option("--scores", is_flag=True, help="In a table: also the scores of suggestions that nobody decided.")
def review_export(output: Path, decisions: Path, kind: str, scores: bool) -> None:
    """Write the result of a review to OUTPUT: a catalogue to train on, tasks for Label Studio, or a CSV table.

    \b
    Example: motags review-export approved.jsonl && dvc exp run -S crawl.catalogue=approved.jsonl
             motags review-export tasks.json --format label-studio
             motags review-export tags.csv --format table --scores
    """
    from motags.web.exports import write_catalogue, write_table  # noqa: PLC0415
    from motags.web.label_studio import write_label_studio  # noqa: PLC0415

    if scores and kind != "table":
        raise click.UsageError("--scores goes with --format table")
    if kind == "table":
        counts = write_table(decisions, output, scores)
    else:
        counts = {"catalogue": write_catalogue, "label-studio": write_label_studio}[kind](decisions, output)
    click.echo(_said(counts, output), err=True)


def _said(counts: "Counts", output: Path) -> str:
    return (
        f"motags: {output}: {counts.lines:,} lines; {counts.done:,} films done, {counts.waiting:,} with decisions but "
        f"not done, {counts.ties:,} tags on which reviewers differ"
    )


@click.command("review-import", no_args_is_help=True)
@click.argument("source", type=PATH)
@DECISIONS
def review_import(source: Path, decisions: Path) -> None:
    """Read the decisions made in Label Studio from SOURCE, its JSON export.

    \b
    Example: motags review-import label-studio.json --decisions review.sqlite
    """
    from motags.films.reading import TOLD  # noqa: PLC0415
    from motags.web.label_studio import read_label_studio  # noqa: PLC0415

    back = read_label_studio(decisions, source)
    if back.set_aside and not back.kept + back.known:
        raise MotagsError(f"none of the {len(back.set_aside):,} tasks can be used: {back.set_aside[0]}")
    for reason in back.set_aside[:TOLD]:
        click.echo(f"motags: set aside: {reason}", err=True)
    aside = f", {len(back.set_aside):,} tasks set aside" if back.set_aside else ""
    click.echo(f"motags: {back.kept:,} annotations kept, {back.known:,} were known{aside}", err=True)
