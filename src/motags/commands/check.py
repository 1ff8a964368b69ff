"""`motags check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motags.commands.options import LIMIT, PATH, reading_rules
from motags.errors import MotagsError

if TYPE_CHECKING:
    from motags.films.film import Film
    from motags.films.reading import ReadingRules

SHOWN_FILMS = 3
SHOWN_REASONS = 5
SHOWN_WORDS = 12


@click.command(no_args_is_help=True)
@click.argument("file", type=PATH)
@LIMIT
@reading_rules(with_tags=True)
def check(file: Path, max_set_aside: float, rules: "ReadingRules") -> None:
    """Say what is understood of a catalogue, before anything is trained or tagged.

    \b
    Example: motags check films.csv
             motags check export.csv --column synopsis=story --tag-separator ';'
    """
    from motags.films.catalogue import SetAside, refuse_if_bad, summary, usable_films  # noqa: PLC0415
    from motags.films.reading import Reading  # noqa: PLC0415
    from motags.terminal import shown  # noqa: PLC0415

    if file != Path("-") and not file.is_file():
        raise MotagsError(f"{file} is missing, or no file: name a catalogue")
    reading = Reading(None if file == Path("-") else file, rules)
    aside: list[SetAside] = []
    films = [film for film, _ in usable_films(reading, aside)]
    counts: Any = summary(films, aside)
    lines = [
        f"{reading.name}: columns {', '.join(f'{own} = {name}' for own, name, _ in reading.columns)}",
        *(f"  {said}" for said in reading.said()),
        f"{counts['films']:,} films: {_parts(counts['having']) or 'nothing is known'}; {counts['tags']:,} tags in all",
    ]
    if aside:
        lines.append(f"{len(aside):,} rows set aside: {_parts(counts['set_aside_for'])}")
        lines += [f"  {row.where}: {row.reason}" for row in aside[:SHOWN_REASONS]]
    lines += ["first films:", *(f"  {_line(film)}" for film in films[:SHOWN_FILMS])] if films else []
    click.echo("\n".join(map(shown, lines)))
    refuse_if_bad(len(films), aside, max_set_aside, "--max-set-aside")


def _parts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items() if number)


def _line(film: "Film") -> str:
    text = " ".join((film.plot or film.synopsis or film.lead or "no text").split()[:SHOWN_WORDS])
    tags = ", ".join(tag.name for tag in film.tags) or "no tags"
    return f"{film.id}: {film.title}{f' ({film.year})' if film.year else ''} | {tags} | {text}"
