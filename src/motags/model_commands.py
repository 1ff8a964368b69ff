"""`motags explain`, `suggest` and `audit`, as the command line takes them."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motags.errors import MotagsError

if TYPE_CHECKING:
    from motags.explain import Explanation
    from motags.tagger import Tagger
    from motags.tagging import Entry

SHOWN_WORDS = 8  # parts of a text that are shown to carry a tag
PATH = click.Path(path_type=Path, allow_dash=True)
MODEL = click.option("--model", type=click.Path(path_type=Path), default="models/tagger", help="Folder of the model.")
ORDER = click.option(
    "--text", "order", type=click.Choice(["plot_first", "synopsis_first", "both"]),
    help="What is read where a film has no `text`.  [default: as the model's texts were chosen]",
)  # fmt: skip
OUTPUT = click.option("--output", type=click.Path(path_type=Path), help="CSV file to write.  [default: a table here]")


def spare(file: Path, output: Path | None) -> None:
    """Raise MotagsError where an output would replace the catalogue that it is made from."""
    if output and output.exists() and file.exists() and output.samefile(file):
        raise MotagsError(f"{output} is the catalogue itself: name another output")


def films_of(file: Path, tagger: "Tagger", order: Any) -> "Iterator[Entry]":
    """The films of a catalogue that have a text; `-` is JSON Lines from standard input.

    Raises:
        MotagsError: the file can't be read, or none of its rows can be used.
    """
    from motags.tagging import TOLD, Job  # noqa: PLC0415

    job, films, told = Job(None if file == Path("-") else file, tagger.reading_.ordered(order)), 0, 0
    for chunk in job.chunks():
        for aside in chunk.aside:
            told += 1
            if told <= TOLD:
                click.echo(f"motags: set aside: {aside.where}: {aside.reason}", err=True)
        films += len(chunk.films)
        yield from (film for film in chunk.films if film.text)
    if told and not films:
        raise MotagsError(f"none of the {told:,} rows of {file} can be used")


@click.command(no_args_is_help=True)
@click.argument("file", type=PATH)
@MODEL
@ORDER
@click.option("--film", help="Id of the film.  [default: the first]")
@click.option("--tag", "tags", multiple=True, help="A tag; may be given more than once.  [default: those it gets]")
def explain(file: Path, model: Path, order: Any, film: str | None, tags: tuple[str, ...]) -> None:
    """Say why a film of FILE gets a tag: the words that carry it, films like it that bear it, its cluster.

    \b
    Example: motags explain films.jsonl --film heat-1995 --tag heist
    """
    from motags.explain import explain  # noqa: PLC0415
    from motags.tagger import Tagger  # noqa: PLC0415
    from motags.terminal import shown  # noqa: PLC0415

    tagger = Tagger.load(model, "float32")
    found = next((entry for entry in films_of(file, tagger, order) if film in {None, entry.id}), None)
    if found is None:
        raise MotagsError(f"{file} has no film {film!r} with a text" if film else f"{file} has no film with a text")
    asked = tags or [tag for tag, _ in tagger.tag([found.text], least=1)[0]]
    said = [_explained(found.text, why) for why in explain(tagger, found.text, asked, film=found.id)]
    click.echo("\n".join([shown(f"{found.title or ''} ({found.id})".strip()), *said]))


def _explained(text: str, why: "Explanation") -> str:
    from motags.terminal import shown  # noqa: PLC0415

    strongest = sorted(why.words, key=lambda word: -abs(word[2]))[:SHOWN_WORDS]
    lines = ["", f"{why.tag} {why.score:.2f} (given from {why.threshold:.2f})"]
    lines += [f"  words    {', '.join(f'{text[start:end]} {weight:+.2f}' for start, end, weight in strongest)}"]
    lines += [f"  like     {title or id_} ({id_}) {cosine:.2f}" for id_, title, cosine in why.films]
    lines += [f"  cluster  {why.cluster}: {', '.join(why.cluster_tags)}"]
    return "\n".join(map(shown, lines))


@click.command(no_args_is_help=True)
@click.argument("file", type=PATH)
@MODEL
@ORDER
@OUTPUT
@click.option("--films", "size", type=click.IntRange(min=1), default=50, help="Films to suggest.")
def suggest(file: Path, model: Path, order: Any, output: Path | None, size: int) -> None:
    """Say which films of an untagged catalogue teach most when an expert tags them, the best first.

    \b
    Example: motags suggest untagged.jsonl --films 100 --output queue.csv
    """
    import numpy as np  # noqa: PLC0415

    from motags.suggest import suggest, write_suggestions  # noqa: PLC0415
    from motags.tagger import Scores, Tagger  # noqa: PLC0415

    spare(file, output)
    tagger = Tagger.load(model)
    films = films_of(file, tagger, order)
    ids: list[str] = []
    titles: list[str] = []
    parts: list[Scores] = []
    while chunk := list(islice(films, 1024)):
        ids += [film.id for film in chunk]
        titles += [film.title or "" for film in chunk]
        parts.append(tagger.score([film.text for film in chunk]))
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
    _print([["id", "title", "for"], *rows])


@click.command()
@MODEL
@OUTPUT
@click.option("--top", type=click.IntRange(min=1), default=50, help="Labels to name.")
@click.option("--tag", help="Only labels of this tag.")
def audit(model: Path, output: Path | None, top: int, tag: str | None) -> None:
    """Say which tags of the training films look wrong or missing, worst first.

    \b
    Example: motags audit --top 200 --output suspects.csv
    """
    from motags.audit import suspects, write_suspects  # noqa: PLC0415
    from motags.tagger import Tagger  # noqa: PLC0415

    tagger = Tagger.load(model)
    found = suspects(tagger.films_, tagger.tags_, top, tag)
    if output:
        write_suspects(output, found)
        return
    rows = [[one.id, one.title, one.tag, one.problem, f"{one.score:.2f}", f"{one.doubt:.2f}"] for one in found]
    _print([["id", "title", "tag", "problem", "score", "doubt"], *rows])


def _print(rows: list[list[str]]) -> None:
    from motags.terminal import aligned, widths_of  # noqa: PLC0415

    click.echo(aligned(rows, widths_of(rows)), nl=False)
