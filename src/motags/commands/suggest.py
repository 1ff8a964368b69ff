"""`motags suggest`."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motags.commands.options import LIMIT, MODEL, OUTPUT, PATH, TEXT, films_of, print_table, reading_rules, spare
from motags.errors import MotagsError

if TYPE_CHECKING:
    from motags.films.reading import ReadingRules


@click.command(no_args_is_help=True)
@click.argument("file", type=PATH)
@MODEL
@TEXT
@OUTPUT
@click.option("--films", "size", type=click.IntRange(min=1), default=50, help="Films to suggest.")
@LIMIT
@reading_rules()
def suggest(
    file: Path, model: Path, text: Any, output: Path | None, size: int, max_set_aside: float, rules: "ReadingRules"
) -> None:
    """Say which films of an untagged catalogue teach most when an expert tags them, the best first.

    \b
    Example: motags suggest untagged.jsonl --films 100 --output queue.csv
    """
    import numpy as np  # noqa: PLC0415

    from motags.active_learning.suggest import suggest, write_suggestions  # noqa: PLC0415
    from motags.batch.job import Job  # noqa: PLC0415
    from motags.tagger.model import Scores  # noqa: PLC0415
    from motags.tagger.tagger import Tagger  # noqa: PLC0415

    spare(file, output)
    tagger = Tagger.load(model)
    source, text_rules = None if file == Path("-") else file, tagger.text_rules_.with_text(text)
    films = films_of(Job(source, text_rules, max_set_aside=max_set_aside, rules=rules))
    ids: list[str] = []
    titles: list[str] = []
    parts: list[Scores] = []
    while chunk := list(islice(films, 1024)):
        ids += [film.id for film in chunk]
        titles += [film.title or "" for film in chunk]
        parts.append(tagger.score(chunk))
    if not parts:
        raise MotagsError(f"{file} has no film with a text")
    scored = Scores(*map(np.concatenate, zip(*parts, strict=True)))
    parts.clear()  # of a large catalogue they are gigabytes
    found = suggest(tagger, ids, titles, scored, size)
    if not found:
        raise MotagsError(f"the model was trained on all films of {file}: nothing is left to suggest")
    if output:
        write_suggestions(output, found)
        return
    rows = [[film.id, film.title, ", ".join(f"{tag} {score:.2f}" for tag, score in film.tags)] for film in found]
    print_table([["id", "title", "for"], *rows])
