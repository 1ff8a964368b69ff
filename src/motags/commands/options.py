"""Options and steps that commands share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motags.errors import MotagsError

if TYPE_CHECKING:
    from motags.films.text import Entry
    from motags.tagger.model import Model

PATH = click.Path(path_type=Path, allow_dash=True)
MODEL = click.option("--model", type=click.Path(path_type=Path), default="models/tagger", help="Folder of the model.")
TEXT = click.option(
    "--text", type=click.Choice(["plot_first", "synopsis_first", "both"]),
    help="What is read where a film has no `text`.  [default: as the model's texts were chosen]",
)  # fmt: skip
OUTPUT = click.option("--output", type=click.Path(path_type=Path), help="CSV file to write.  [default: a table here]")


def spare(file: Path, output: Path | None) -> None:
    """Raise MotagsError where an output would replace the catalogue that it is made from."""
    if output and output.exists() and file.exists() and output.samefile(file):
        raise MotagsError(f"{output} is the catalogue itself: name another output")


def films_of(file: Path, tagger: "Model", text: Any) -> "Iterator[Entry]":
    """The films of a catalogue that have a text; `-` is JSON Lines from standard input.

    Raises:
        MotagsError: the file can't be read, or none of its rows can be used.
    """
    from motags.batch.job import TOLD, Job  # noqa: PLC0415

    job, films, told = Job(None if file == Path("-") else file, tagger.text_rules_.with_text(text)), 0, 0
    for chunk in job.chunks():
        for aside in chunk.aside:
            told += 1
            if told <= TOLD:
                click.echo(f"motags: set aside: {aside.where}: {aside.reason}", err=True)
        films += len(chunk.films)
        yield from (film for film in chunk.films if film.text)
    if told and not films:
        raise MotagsError(f"none of the {told:,} rows of {file} can be used")


def print_table(rows: list[list[str]]) -> None:
    """Print rows as columns."""
    from motags.terminal import aligned, widths_of  # noqa: PLC0415

    click.echo(aligned(rows, widths_of(rows)), nl=False)
