"""Films in, their tags out, chunk by chunk: `motags tag`.

Nothing here keeps more than a chunk of films, so a catalogue may be larger than memory.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from motags.errors import MotagsError
from motags.evidence.vector_files import OwnVectors
from motags.films.files import Row
from motags.films.reading import MAX_SET_ASIDE, TOLD, Reading, ReadingRules
from motags.films.text import Entry, TextRules

if TYPE_CHECKING:
    from motags.tagger.model import Model

log = logging.getLogger(__name__)


TaggedFilm = dict[str, Any]  # id, title, tags: [{tag, score}, ...] best first, cluster, model_version


DIGITS = 4  # of a score: more would differ between processors
EARLY = 10_000  # rows: before that many, only what would be too much among them stops a run


class Aside(NamedTuple):
    """A row that can't be used: where it stands, and why."""

    where: str
    reason: str


class Chunk(NamedTuple):
    """The next films of a catalogue, the rows among them that can't be used, and how many rows are read after it."""

    films: list[Entry]
    aside: list[Aside]
    rows: int


Engine = Callable[[Iterator[Chunk]], Iterator[tuple[Chunk, list[TaggedFilm]]]]


@dataclass(frozen=True)
class Shard:
    """The part `number` (from 1) of `of` parts: every `of`th row, so that all parts together are every row once."""

    number: int = 1
    of: int = 1

    def __contains__(self, row: int) -> bool:
        """Whether the row (from 1) belongs to this part."""
        return (row - self.number) % self.of == 0

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class Job:
    """Which films are tagged; `source` is None for standard input, `vectors` are files of the user's own vectors."""

    source: Path | None
    text_rules: TextRules = field(default_factory=TextRules)
    shard: Shard = Shard()
    chunk: int = 256
    max_set_aside: float = MAX_SET_ASIDE
    rules: ReadingRules = field(default_factory=ReadingRules)
    vectors: tuple[Path, ...] = ()

    def total(self) -> int | None:
        """How many rows there are to read, where that is quickly counted."""
        if self.source is None or self.source.suffix.lower() != ".jsonl":
            return None
        with self.source.open("rb") as file:
            lines = sum(block.count(b"\n") for block in iter(partial(file.read, 2**20), b""))
        return -(-lines // self.shard.of)

    @cached_property
    def reading(self) -> Reading:
        """The catalogue; what was understood of it is known when its chunks are read."""
        return Reading(self.source, self.rules, with_tags=False)

    @cached_property
    def own_vectors(self) -> OwnVectors:
        """The user's own vectors, by film id."""
        return OwnVectors(self.vectors)

    def chunks(self, done: int = 0) -> Iterator[Chunk]:
        """The films after the first `done` rows, at most `chunk` at a time.

        Raises:
            MotagsError: the catalogue is missing, damaged or empty.
        """
        films: list[Entry] = []
        aside: list[Aside] = []
        number = 0
        for number, (line, row) in enumerate(self._rows(), start=1):
            if number <= done or number not in self.shard:
                continue
            entry = self.text_rules.entry(row)
            if isinstance(entry, Entry):
                films.append(self.own_vectors.added(entry))
            else:
                aside.append(Aside(f"{self.reading.name}, line {line}", entry))
            if len(films) + len(aside) == self.chunk:
                yield Chunk(films, aside, number)
                films, aside = [], []
        if not number:
            raise MotagsError(f"{self.source or self.reading.name} holds no films")
        if films or aside:
            yield Chunk(films, aside, number)

    def _rows(self) -> Iterator[Row]:
        try:
            yield from self.reading
        except FileNotFoundError:
            raise MotagsError(f"{self.source} is missing") from None


@dataclass(frozen=True)
class Choice:
    """Which tags of a film are given; see `Tagger.chosen`."""

    top: int | None = None
    threshold: float | None = None
    least: int = 0


def tagged(model: "Model", films: list[Entry], choice: Choice) -> list[TaggedFilm]:
    """What is said of each film.

    A film of which nothing is known gets no tags, whatever is asked for; one without a text no cluster.
    """
    scored = model.score(films)
    answers = []
    for row, film in enumerate(films):
        answer: TaggedFilm = {"id": film.id, "title": film.title, "tags": [], "cluster": None}
        if scored.known[row]:
            own = model.chosen(scored.scores[row], top=choice.top, threshold=choice.threshold, least=choice.least)
            answer["tags"] = [{"tag": tag, "score": round(score, DIGITS)} for tag, score in own]
        if film.text:
            answer["cluster"] = int(scored.clusters[row])
        answers.append(answer | {"model_version": model.version_})
    return answers


def here(model: "Model", choice: Choice) -> Engine:
    """The engine that tags in this process."""
    return lambda chunks: ((chunk, tagged(model, chunk.films, choice)) for chunk in chunks)


@dataclass(frozen=True)
class Count:
    """How far a run is: rows of the catalogue read, films tagged, those without a text, and rows set aside."""

    rows: int = 0
    films: int = 0
    without_text: int = 0
    aside: int = 0

    def after(self, chunk: Chunk) -> "Count":
        """The count when a chunk is done too."""
        blank = sum(not film.text for film in chunk.films)
        films, aside = self.films + len(chunk.films), self.aside + len(chunk.aside)
        return Count(chunk.rows, films, self.without_text + blank, aside)

    def refuse_if_bad(self, job: Job, first: Aside | None, least: int = EARLY) -> None:
        """Raise MotagsError where more than `job.max_set_aside` of the rows (or of `least` rows) are set aside."""
        of = self.films + self.aside
        if first and self.aside > job.max_set_aside * max(of, least):
            raise MotagsError(
                f"{self.aside} of {of} films can't be used, more than --max-set-aside {job.max_set_aside:g} allows; "
                f"the first is {first.where}: {first.reason}"
            )


def counted(
    job: Job, engine: Engine, count: Count = Count(), first: Aside | None = None
) -> Iterator[tuple[list[TaggedFilm], list[Aside], Count]]:
    """Tag what a run that came as far as `count` has left; `first` is the first row that it set aside.

    Yields:
        The answers of a chunk, the rows set aside in it, and the count after it.

    Raises:
        MotagsError: the catalogue can't be read, or too many of its rows can't be used.
    """
    for chunk, answers in engine(job.chunks(count.rows)):
        for row in chunk.aside[: max(TOLD - count.aside, 0)]:
            log.warning("%s set aside: %s", *row)
        count = count.after(chunk)
        first = first or next(iter(chunk.aside), None)
        yield answers, chunk.aside, count
        count.refuse_if_bad(job, first)
    if said := job.reading.said():
        log.info("%s: %s", job.reading.name, "; ".join(said))
    count.refuse_if_bad(job, first, least=0)
