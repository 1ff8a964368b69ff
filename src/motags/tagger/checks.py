"""Films and tags as users have them: texts, dictionaries or tables, and tags, in lists or tables, as labels."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from motags.errors import MotagsError
from motags.films.text import Entry, TextRules
from motags.films.values import NOTHING, Cleaner


def labels_of(Y: Any, tags: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Labels (n, t) bool and t names, of n lists of tags or a table (array, sparse, pandas) with a column per tag.

    Args:
        tags: the names; if not given, the table's columns, numbers, or all tags of the lists.

    Raises:
        MotagsError: a cell is neither true nor false, a tag is unknown, no text, or stands where a list of tags
            belongs, a name stands twice, or there is another number of names than of columns.
    """
    if hasattr(Y, "toarray"):
        Y = Y.toarray()
    if hasattr(Y, "to_numpy"):
        tags = [str(name) for name in Y.columns] if tags is None and hasattr(Y, "columns") else tags
        Y = Y.to_numpy()
    if tags is not None and len(set(tags)) < len(tags):
        raise MotagsError(f"the tags name {next(tag for tag in tags if list(tags).count(tag) > 1)!r} twice")
    if isinstance(Y, np.ndarray) and (Y.dtype.kind in "biuf" or (Y.dtype.kind == "O" and Y.ndim == 2)):
        return _of_table(Y, tags)
    return _of_lists(Y, tags)


def _of_table(Y: np.ndarray, tags: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    if Y.ndim != 2:
        raise MotagsError(f"the table of tags has {Y.ndim} dimensions: give a row per text and a column per tag")
    try:
        cells = Y.astype(float)
    except (TypeError, ValueError) as error:
        raise MotagsError(f"the table of tags holds more than true and false: {error}") from error
    if (strange := ~np.isin(cells, (0, 1))).any():  # also where there is no value
        row, column = np.argwhere(strange)[0]
        raise MotagsError(f"row {row} of the table of tags holds {cells[row, column]:g}: give true or false, 1 or 0")
    names = [str(j) for j in range(cells.shape[1])] if tags is None else list(tags)
    if len(names) != cells.shape[1]:
        raise MotagsError(f"{cells.shape[1]} columns of tags have {len(names)} names: give one for each")
    return cells.astype(bool), names


def _of_lists(Y: Any, tags: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    if lone := [film_tags for film_tags in Y if isinstance(film_tags, str)]:
        raise MotagsError(f"{str(lone[0])!r} stands where a list of tags is expected: give one list for each text")
    for row, film_tags in enumerate(Y):
        if not isinstance(film_tags, list | tuple | set | frozenset | np.ndarray):
            raise MotagsError(f"row {row} of the tags is {film_tags!r}, no list: give one list for each text")
    if odd := [tag for film_tags in Y for tag in film_tags if not isinstance(tag, str)]:
        raise MotagsError(f"{odd[0]!r} is no tag: a tag is text; a table of true and false has to be an array")
    names = sorted({tag for film_tags in Y for tag in film_tags}) if tags is None else list(tags)
    column = {tag: j for j, tag in enumerate(names)}
    if strange := sorted({tag for film_tags in Y for tag in film_tags if tag not in column}):
        raise MotagsError(f"{strange[0]!r} is none of the tags: {', '.join(names)}")
    labels = np.zeros((len(Y), len(names)), dtype=bool)
    for row, film_tags in enumerate(Y):
        labels[row, [column[tag] for tag in film_tags]] = True
    return labels, names


def entries_of(films: Any, rules: TextRules) -> list[Entry]:
    """Films of a list of texts, of dictionaries, or of a table with the columns of a catalogue.

    A text is read as it is; of a dictionary or a row what `rules` say. Films that are `Entry` already are left so.

    Raises:
        MotagsError: one can't be read, one text or film stands where a list belongs, or a table has no column that
            says anything of a film.
    """
    if isinstance(films, str | bytes):
        raise MotagsError("one text stands where a list of texts is expected: put it in brackets")
    if isinstance(films, Mapping | Set):
        raise MotagsError(
            f"a {type(films).__name__} stands where a list of texts or films is expected: give list(...) of them"
        )
    columns = getattr(films, "column_names", None)  # pyarrow
    if columns is None and hasattr(films, "columns"):  # pandas, polars
        columns = list(films.columns)
    if columns is not None and len(columns) == 1:
        films, columns = films[columns[0]], None
    if columns is not None:
        films = _rows_of(films)
    films = films.to_pylist() if hasattr(films, "to_pylist") else list(films)
    if films and all(isinstance(film, Entry) for film in films):
        return films
    if films and all(isinstance(film, Mapping) for film in films):
        from motags.films.entries import read_entries  # noqa: PLC0415, stages bring films that are read already

        return read_entries(films, rules)
    return [Entry(str(row), None, text) for row, text in enumerate(_texts_of(films))]


def _rows_of(table: Any) -> list[dict[str, Any]]:
    """The rows of a table of pyarrow, polars or pandas."""
    if hasattr(table, "to_pylist"):
        rows: list[dict[str, Any]] = table.to_pylist()
    else:
        rows = table.to_dicts() if hasattr(table, "to_dicts") else table.to_dict("records")
    return rows


def named(films: list[Entry], ids: Sequence[str] | None, titles: Sequence[str] | None) -> list[Entry]:
    """The films with other ids and titles, where they are given."""
    ids = [film.id for film in films] if ids is None else [str(id_) for id_ in ids]
    titles = [film.title or "" for film in films] if titles is None else titles
    told = [title if isinstance(title, str) else "" for title in titles]
    return [replace(film, id=id_, title=title) for film, id_, title in zip(films, ids, told, strict=True)]


def _texts_of(texts: list[Any]) -> list[str]:
    """Texts as catalogues are read: without markup, letters that can't be seen and words that say nothing ("N/A").

    Raises:
        MotagsError: one is no text.
    """
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise MotagsError(f"text {row} is {text!r}, no text: give one, or leave the film out")
    cleaner = Cleaner(frozenset(NOTHING))
    return [cleaner.text(text) or "" for text in texts]
