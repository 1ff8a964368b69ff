"""A catalogue's films as a review takes them: with the text that the model reads, and the model's spelling of tags."""

import logging
from collections import defaultdict
from pathlib import Path

from motags.errors import MotagsError
from motags.films import Film, Tag, read_catalogue
from motags.vocabulary import composed
from motags.web.scoring import Model
from motags.web.store import Store

MIN_PLOT_WORDS = 60  # as params.yaml has it for training: a shorter plot is read only where there is nothing else

log = logging.getLogger(__name__)


def take(store: Store, catalogue: Path, model: Model) -> None:
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
    store.take(((spelled.film(film), text_of(film)) for film in films), tags)


def text_of(film: Film) -> str:
    """The text that stands for a film, or ""."""
    plot, short = composed(film.plot or ""), composed(film.synopsis or film.lead or "")
    return plot if plot and (len(plot.split()) >= MIN_PLOT_WORDS or not short) else short


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
