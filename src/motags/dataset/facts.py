"""What else than a text and tags is known of the films of the data set, for the tagger."""

from collections.abc import Iterable, Sequence

import pandas as pd

from motags.films.film import Film
from motags.films.text import Entry, TextRules
from motags.films.values import LISTS

TEXTS = ("tagline", "poster", "trailer")


def facts_frame(films: Iterable[Film], ids: Sequence[str]) -> pd.DataFrame:
    """A row for each of `ids`, in their order: id, tagline, year, people, companies, countries and so on."""
    by_id = {film.id: film for film in films}
    own = [by_id[id_] for id_ in ids]
    frame = pd.DataFrame({"id": list(ids)})
    for column in LISTS:
        frame[column] = pd.Series([getattr(film, column) for film in own], dtype=object)
    for column in ("year", "runtime"):
        frame[column] = pd.array([getattr(film, column) for film in own], dtype="Int32")
    for column in TEXTS:
        frame[column] = pd.Series([getattr(film, column) for film in own], dtype="str")
    return frame


def entries_of_frames(films: pd.DataFrame, facts: pd.DataFrame, rules: TextRules) -> list[Entry]:
    """The films as the tagger takes them.

    Args:
        films: as `fuse.fuse` makes them; facts: of the same films, see `facts_frame`.
    """
    numbers = {name: [None if pd.isna(one) else int(one) for one in facts[name]] for name in ("year", "runtime")}
    texts = {name: [one if isinstance(one, str) else None for one in facts[name]] for name in TEXTS}
    lists = [
        {name: tuple(own) for name, own in zip(LISTS, film_lists, strict=True) if len(own)}
        for film_lists in zip(*(facts[name] for name in LISTS), strict=True)
    ]
    columns = (films["id"], films["title"], films["text"])
    return [
        Entry(id_, title, rules.joined(title, texts["tagline"][row], text), lists[row], numbers["year"][row],
              numbers["runtime"][row], texts["poster"][row], texts["trailer"][row])
        for row, (id_, title, text) in enumerate(zip(*columns, strict=True))
    ]  # fmt: skip
