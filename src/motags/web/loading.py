"""A catalogue's films as a review takes them: with the text that the model reads, and the model's spelling of tags."""

import logging
from collections import defaultdict
from pathlib import Path

from motags.dataset.tag_vocabulary import composed
from motags.errors import MotagsError
from motags.films.catalogue import read_catalogue
from motags.films.files import rows
from motags.films.film import Film, Tag, film_of
from motags.films.text import Entry, TextRules
from motags.films.values import plain_text
from motags.tagger.model import Model
from motags.web.store import ReviewStore

log = logging.getLogger(__name__)


def take(store: ReviewStore, catalogue: Path, model: Model) -> None:
    """Take over a catalogue's films, with their tags as the model spells them.

    Raises:
        MotagsError: the file can't be read, or has no film.
    """
    films, aside = read_catalogue(catalogue, max_set_aside=1.0)
    if not films:
        raise MotagsError(f"{catalogue} holds no film that can be reviewed; {aside[0].where}: {aside[0].reason}")
    if aside:
        log.warning("%s: %d rows can't be used; %s: %s", catalogue, len(aside), aside[0].where, aside[0].reason)
    tags = list(zip(model.tags_, model.kinds_, map(float, model.thresholds_), strict=True))
    spelled = _Spelling(model.tags_)
    texts = _texts_of(catalogue, model.text_rules_)
    store.take((_with_text(spelled.film(film), *texts.get(film.id, ("", None))) for film in films), tags)


def _texts_of(catalogue: Path, text_rules: TextRules) -> dict[str, tuple[str, str | None]]:
    """Of each film's id the text that stands for it, as `motags tag` reads it, and all of its column `text`.

    Of rows with one id the first counts; the column is kept where the film has no other text alone.
    """
    texts: dict[str, tuple[str, str | None]] = {}
    for _, row in rows(catalogue):
        if isinstance(entry := text_rules.entry(row), Entry) and isinstance(film := film_of(row, catalogue.name), Film):
            told = film.plot or film.synopsis or film.lead
            texts.setdefault(entry.id, (entry.text, None if told else plain_text(row.get("text"))))
    return texts


def _with_text(film: Film, text: str, whole: str | None) -> tuple[Film, str]:
    """A film whose text came in the column `text` alone has it as its plot: so a catalogue to train on names it."""
    return (film.model_copy(update={"plot": whole}) if whole else film), text


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
