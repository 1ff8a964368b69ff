"""A catalogue's films as a review takes them: with the text that the model reads, and the model's spelling of tags."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from motags.dataset.tag_vocabulary import composed
from motags.films.catalogue import sorted_films
from motags.films.film import Film, Tag
from motags.films.reading import MAX_SET_ASIDE, Reading, ReadingRules
from motags.films.text import Entry
from motags.tagger.model import Model
from motags.web.store import ReviewStore


def take(
    store: ReviewStore, catalogue: Path, model: Model, max_set_aside: float = MAX_SET_ASIDE,
    rules: ReadingRules | None = None,
) -> None:  # fmt: skip
    """Take over a catalogue's films, with their tags as the model spells them.

    Args:
        max_set_aside: share of its rows that may be unusable; rules: how it is written, where that is not detected.

    Raises:
        MotagsError: the file can't be read, has no film, or too many of its rows can't be used.
    """
    tags = list(zip(model.tags_, model.kinds_, map(float, model.thresholds_), strict=True))
    spelled = _Spelling(model.tags_)

    def with_text(film: Film, row: dict[str, Any]) -> tuple[Film, str]:
        entry = model.text_rules_.entry(row)
        return spelled.film(film), entry.text if isinstance(entry, Entry) else ""

    films, _ = sorted_films(Reading(catalogue, rules), max_set_aside, "--max-set-aside", with_text)
    store.take(films, tags)


class _Spelling:
    """Spells a catalogue's tags as the model does where only case and white space differ, and only one fits."""

    def __init__(self, tags: list[str]) -> None:
        self._exact = set(tags)
        self._folded: dict[str, list[str]] = defaultdict(list)
        for tag in tags:
            self._folded[tag.casefold()].append(tag)

    def film(self, film: Film) -> Film:
        """The film with each tag once."""
        tags = {spelled.name: spelled for spelled in map(self._spelled, film.tags)}
        return film.model_copy(update={"tags": list(tags.values())})

    def _spelled(self, tag: Tag) -> Tag:
        name = composed(tag.name)
        alike = self._folded.get(name.casefold(), [])
        return tag.model_copy(update={"name": alike[0] if len(alike) == 1 and name not in self._exact else name})
