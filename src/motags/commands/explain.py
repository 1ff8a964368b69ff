"""`motags explain`, as the command line takes it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motags.commands.options import LIMIT, MODEL, PATH, TEXT, films_of, reading_rules
from motags.errors import MotagsError

if TYPE_CHECKING:
    from motags.active_learning.explain import Explanation
    from motags.batch.job import Job
    from motags.films.reading import ReadingRules
    from motags.films.text import Entry

SHOWN_WORDS = 8  # parts of a text that are shown to carry a tag


@click.command(no_args_is_help=True)
@click.argument("file", type=PATH)
@MODEL
@TEXT
@click.option("--film", help="Id of the film.  [default: the first film]")
@click.option("--tag", "tags", multiple=True, help="Tag to explain; may be repeated.  [default: those it gets]")
@LIMIT
@reading_rules()
def explain(
    file: Path, model: Path, text: Any, film: str | None, tags: tuple[str, ...], max_set_aside: float,
    rules: "ReadingRules",
) -> None:  # fmt: skip
    """Explain why a film of FILE gets a tag: what evidence carries it, films like it that bear it, its cluster.

    \b
    Example: motags explain films.jsonl --film heat-1995 --tag heist
    """
    from motags.active_learning.explain import explain  # noqa: PLC0415
    from motags.batch.job import Job  # noqa: PLC0415
    from motags.tagger.tagger import Tagger  # noqa: PLC0415
    from motags.terminal import shown  # noqa: PLC0415

    tagger = Tagger.load(model, "float32")
    source, text_rules = None if file == Path("-") else file, tagger.text_rules_.with_text(text)
    found = _film(Job(source, text_rules, max_set_aside=max_set_aside, rules=rules), file, film)
    asked = tags or [tag for tag, _ in tagger.tag([found], least=1)[0]]
    said = [_explained(found.text, why) for why in explain(tagger, found, asked)]
    click.echo("\n".join([shown(f"{found.title or ''} ({found.id})".strip()), *said]))


def _film(job: "Job", file: Path, id_: str | None) -> "Entry":
    """The film with an id, or the first. Raises MotagsError where there is none; it names those with such a title."""
    titled = []
    for entry in films_of(job):
        if id_ in {None, entry.id}:
            return entry
        if (entry.title or "").casefold() == str(id_).casefold():
            titled.append(entry.id)
    if titled:
        raise MotagsError(f"{id_!r} is a title: give the film's id, --film {titled[0]}")
    raise MotagsError(f"{file} has no film {f'{id_!r} ' if id_ else ''}with a text")


def _explained(text: str, why: "Explanation") -> str:
    from motags.terminal import shown  # noqa: PLC0415

    strongest = sorted(why.words, key=lambda word: -abs(word[2]))[:SHOWN_WORDS]
    lines = ["", f"{why.tag} {why.score:.2f} (given from {why.threshold:.2f})"]
    lines += [f"  by       {', '.join(f'{name} {weight:+.2f}' for name, weight in why.sources)}"]
    lines += [f"  words    {', '.join(f'{text[start:end]} {weight:+.2f}' for start, end, weight in strongest)}"]
    if why.facts:
        lines += [f"  facts    {', '.join(f'{fact} {weight:+.2f}' for fact, weight in why.facts[:SHOWN_WORDS])}"]
    lines += [f"  like     {title or id_} ({id_}) {cosine:.2f}" for id_, title, cosine in why.films]
    lines += [f"  cluster  {why.cluster}: {', '.join(why.cluster_tags)}"]
    return "\n".join(map(shown, lines))
