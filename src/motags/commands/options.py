"""Options and steps that commands share."""

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motags.errors import MotagsError

if TYPE_CHECKING:
    from motags.batch.job import Job
    from motags.films.text import Entry

Command = Callable[..., Any]


PATH = click.Path(path_type=Path, allow_dash=True)
MODEL = click.option("--model", type=click.Path(path_type=Path), default="models/tagger", help="Folder of the model.")
TEXT = click.option(
    "--text", type=click.Choice(["plot_first", "synopsis_first", "both"]),
    help="What is read where a film has no `text`.  [default: as the model's texts were chosen]",
)  # fmt: skip
LIMIT = click.option(
    "--max-set-aside", type=click.FloatRange(0, 1), default=0.05, help="Share of rows that may be unusable."
)
OUTPUT = click.option("--output", type=click.Path(path_type=Path), help="CSV file to write.  [default: a table here]")


def spare(file: Path, output: Path | None) -> None:
    """Raise MotagsError where an output would replace the catalogue that it is made from."""
    if output and output.exists() and file.exists() and output.samefile(file):
        raise MotagsError(f"{output} is the catalogue itself: name another output")


def reading_rules(with_tags: bool = False) -> Callable[[Command], Command]:
    """Options that say how a catalogue is written; the command gets them as `rules`."""

    def with_options(command: Command) -> Command:
        @wraps(command)
        def run(
            *args: Any, encoding: str, separator: str, columns: tuple[str, ...], tag_separator: str = "", **options: Any
        ) -> Any:
            from motags.films.reading import ReadingRules  # noqa: PLC0415

            rules = ReadingRules(encoding, separator, tag_separator, _by_field(columns))
            return command(*args, rules=rules, **options)

        kinds = [
            click.option("--encoding", default="", help="Of the text, such as cp1252.  [default: detected]"),
            click.option("--separator", default="", help="Between cells of CSV: ; or tab.  [default: detected]"),
            click.option(
                "--column", "columns", multiple=True, metavar="OURS=THEIRS",
                help="A column under another name, such as synopsis=overview; may be given more than once.",
            ),
        ]  # fmt: skip
        if with_tags:
            kinds.append(
                click.option("--tag-separator", default="", help="Between the tags of a text.  [default: detected]")
            )
        for option in reversed(kinds):
            run = option(run)
        return run

    return with_options


def _by_field(columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Names of columns by what they say. Raises click.BadParameter for what is none."""
    from motags.films.values import READ  # noqa: PLC0415

    named: dict[str, tuple[str, ...]] = {}
    for column in columns:
        field, equals, name = column.partition("=")
        if not (equals and name and field in READ):
            raise click.BadParameter(f"--column {column}: give OURS=THEIRS, where OURS is one of {', '.join(READ)}")
        named[field] = (*named.get(field, ()), name)
    return named


def films_of(job: "Job") -> "Iterator[Entry]":
    """The films of a catalogue that have a text; what was understood of it is said once, when all are read.

    Raises:
        MotagsError: the file can't be read, or too many of its rows can't be used.
    """
    from motags.batch.job import Count  # noqa: PLC0415
    from motags.films.reading import TOLD  # noqa: PLC0415

    count, first = Count(), None
    for chunk in job.chunks():
        for aside in chunk.aside[: max(TOLD - count.aside, 0)]:
            click.echo(f"motags: set aside: {aside.where}: {aside.reason}", err=True)
        count, first = count.after(chunk), first or next(iter(chunk.aside), None)
        yield from (film for film in chunk.films if film.text)
        count.refuse_if_bad(job, first)
    if said := job.reading.said():
        click.echo(f"motags: {job.reading.name}: {'; '.join(said)}", err=True)
    count.refuse_if_bad(job, first, least=0)


def print_table(rows: list[list[str]]) -> None:
    """Print rows as columns."""
    from motags.terminal import aligned, widths_of  # noqa: PLC0415

    click.echo(aligned(rows, widths_of(rows)), nl=False)
