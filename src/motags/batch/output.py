"""A run of `motags tag`: answers go to a stream, or to a file that appears whole; a killed run can go on."""

import gzip
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from motags.artifacts import sha256
from motags.batch.formats import lines_of, write
from motags.batch.job import Aside, Choice, Count, Engine, Job, TaggedFilm, counted
from motags.errors import MotagsError
from motags.films.reading import ReadingRules
from motags.films.text import TextRules
from motags.machine import lock
from motags.progress import Progress

JOURNAL = "journal.json"
RUN_FILES = {JOURNAL, "journal.tmp", "lock", "answers.jsonl", "set_aside.jsonl", "output"}  # in the folder of a run
BLOCK = 1024  # answers that are turned into another format at a time


def tag_to_stream(job: Job, engine: Engine, file: IO[bytes], kind: str) -> Count:
    """Write the answers in a format, chunk by chunk as they are made; give the count."""
    count = Count()

    def blocks() -> Iterator[list[TaggedFilm]]:
        nonlocal count
        for answers, _, count in counted(job, engine):  # noqa: B007, the last count counts
            yield answers

    write(kind, blocks(), file)
    return count


def tag_to_file(job: Job, engine: Engine, output: Path, kind: str, provenance: Mapping[str, Any]) -> Count:
    """Write the answers to a file, and the rows set aside to `OUTPUT.set_aside.jsonl`; give the count.

    A run that was killed goes on from its last whole chunk, with the same bytes in the end.

    Args:
        provenance: as `provenance_of` gives it.

    Raises:
        MotagsError: a killed run that made its answers from something else is in the way; see also `counted`.
    """
    with _partial_run(output, provenance) as partial:
        total = job.total()
        with Progress("tagging", total and max(total - partial.count.films, 0), "films") as bar:
            for answers, aside, count in counted(job, engine, partial.count, partial.first_aside()):
                partial.add(answers, aside, count)
                bar.update(len(answers))
        partial.finish(output, kind)
        return partial.count


def provenance_of(job: Job, choice: Choice, version: str, backend: str) -> dict[str, Any]:
    """All that determines the answers, by the names that messages use.

    The format, the chunks, the threads and the engine may change before a run goes on; a run from
    standard input has no catalogue and is never resumed.
    """
    return {
        "catalogue": sha256(job.source) if job.source else None,
        "text": _as_kept(job.text_rules),
        "way of reading": _as_kept(job.rules),
        "vectors": {path.stem: sha256(path) for path in job.vectors},
        "shard": str(job.shard),
        "choice of tags": asdict(choice),
        "model": version,
        "backend": backend,
    }


def _as_kept(rules: TextRules | ReadingRules) -> Any:
    """The rules as a journal has them."""
    return json.loads(json.dumps(asdict(rules)))


@contextmanager
def _partial_run(output: Path, provenance: Mapping[str, Any]) -> Iterator["Partial"]:
    folder = output.with_name(output.name + ".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {entry.name for entry in folder.iterdir()}
        if JOURNAL not in names and (foreign := sorted(names - RUN_FILES)):
            raise MotagsError(f"{folder} holds {foreign[0]!r}, which motags did not write: name another output")
        with (folder / "lock").open("w") as file:
            if not lock(file):
                raise MotagsError(f"another process makes {output}: wait for it, or name another output")
            try:
                yield Partial(folder, provenance)
            finally:
                if not (folder / JOURNAL).exists():  # nothing to go on with
                    shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise MotagsError(f"{error.filename or folder} can't be written: {error.strerror or error}") from error


class Partial:
    """The folder `OUTPUT.partial`: whole answers so far, as JSON Lines, and a journal that says how far they go.

    A chunk's answers are on the disk before the journal counts them; what the journal does not count is cut off.

    Attributes:
        count: how far the run is.
    """

    def __init__(self, folder: Path, provenance: Mapping[str, Any]) -> None:
        self._folder, self._provenance = folder, dict(provenance)
        self._journal = folder / JOURNAL
        self._paths = {name: folder / f"{name}.jsonl" for name in ("answers", "set_aside")}
        self.count, self._sizes = self._read_journal()
        for name, path in self._paths.items():
            path.touch()
            if path.stat().st_size < self._sizes[name]:
                raise self._damaged()
            os.truncate(path, self._sizes[name])

    def _read_journal(self) -> tuple[Count, dict[str, int]]:
        beginning = Count(), dict.fromkeys(self._paths, 0)
        if not self._journal.exists():
            return beginning
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
            provenance, count = journal["made_from"], Count(**journal["count"])
            sizes = {name: int(journal["sizes"][name]) for name in self._paths}
            differences = sorted(name for name, value in self._provenance.items() if provenance.get(name) != value)
            catalogue = provenance["catalogue"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._damaged() from None
        if catalogue is None:  # from standard input: it can't go on
            return beginning
        if differences:
            raise MotagsError(
                f"{self._folder} holds {count.films:,} films of a run with another {', another '.join(differences)}: "
                "run that again to go on with it, or remove that folder to begin anew"
            )
        return count, sizes

    def _damaged(self) -> MotagsError:
        return MotagsError(f"{self._folder} is damaged: remove it to begin anew")

    def add(self, answers: list[TaggedFilm], aside: list[Aside], count: Count) -> None:
        """Keep a chunk."""
        for name, rows in (("answers", answers), ("set_aside", [row._asdict() for row in aside])):
            content = lines_of(rows).encode()
            with self._paths[name].open("ab") as file:
                file.write(content)
                _to_disk(file)
            self._sizes[name] += len(content)
        self.count = count
        state = {"made_from": self._provenance, "count": asdict(count), "sizes": self._sizes}
        temporary = self._journal.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8") as journal:
            json.dump(state, journal)
            _to_disk(journal)
        temporary.replace(self._journal)

    def first_aside(self) -> Aside | None:
        """The first row that was set aside."""
        with self._paths["set_aside"].open(encoding="utf-8") as file:
            line = file.readline()
        return Aside(**json.loads(line)) if line else None

    def finish(self, output: Path, kind: str) -> None:
        """Write the output whole, and the rows set aside beside it if there are any; then the folder is not needed."""
        temporary = self._folder / "output"
        with temporary.open("wb") as file:
            if output.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                    write(kind, self._blocks(), packed)  # type: ignore[arg-type]
            else:
                write(kind, self._blocks(), file)
            _to_disk(file)
        temporary.replace(output)
        aside = set_aside_of(output)
        if self.count.aside:
            shutil.copyfile(self._paths["set_aside"], temporary)
            temporary.replace(aside)
        else:
            aside.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)  # without it nothing of the folder counts

    def _blocks(self) -> Iterator[list[TaggedFilm]]:
        block: list[TaggedFilm] = []
        with self._paths["answers"].open(encoding="utf-8") as lines:
            for line in lines:
                block.append(json.loads(line))
                if len(block) == BLOCK:
                    yield block
                    block = []
        if block:
            yield block


def set_aside_of(output: Path) -> Path:
    """Where the rows stand that an output has no answer for."""
    return output.with_name(output.name + ".set_aside.jsonl")


def _to_disk(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
