"""`motags audit`, as the command line takes it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    pass
from motags.commands.options import MODEL, OUTPUT, print_table


@click.command()
@MODEL
@OUTPUT
@click.option("--top", type=click.IntRange(min=1), default=50, help="Labels to list at most.")
@click.option("--tag", help="List labels of this tag only.")
def audit(model: Path, output: Path | None, top: int, tag: str | None) -> None:
    """List the tags of the training films that look wrong or missing, the most doubtful first.

    \b
    Example: motags audit --top 200 --output suspects.csv
    """
    from motags.active_learning.audit import suspects, write_suspects  # noqa: PLC0415
    from motags.tagger.tagger import Tagger  # noqa: PLC0415

    tagger = Tagger.load(model)
    found = suspects(tagger.films_, tagger.tags_, top, tag)
    if output:
        write_suspects(output, found)
        return
    rows = [[one.id, one.title, one.tag, one.problem, f"{one.score:.2f}", f"{one.doubt:.2f}"] for one in found]
    print_table([["id", "title", "tag", "problem", "score", "doubt"], *rows])
