"""Texts and tags as users have them: a list of texts, and tags, in lists or tables, as an array of labels."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from motags.errors import MotagsError
from motags.films.columns import TEXTS, columns_of, shown
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
    if lone := [own for own in Y if isinstance(own, str)]:
        raise MotagsError(f"{str(lone[0])!r} stands where a list of tags is expected: give one list for each text")
    for row, own in enumerate(Y):
        if not isinstance(own, list | tuple | set | frozenset | np.ndarray):
            raise MotagsError(f"row {row} of the tags is {own!r}, no list: give one list for each text")
    if odd := [tag for own in Y for tag in own if not isinstance(tag, str)]:
        raise MotagsError(f"{odd[0]!r} is no tag: a tag is text; a table of true and false has to be an array")
    names = sorted({tag for own in Y for tag in own}) if tags is None else list(tags)
    column = {tag: j for j, tag in enumerate(names)}
    if strange := sorted({tag for own in Y for tag in own if tag not in column}):
        raise MotagsError(f"{strange[0]!r} is none of the tags: {', '.join(names)}")
    labels = np.zeros((len(Y), len(names)), dtype=bool)
    for row, own in enumerate(Y):
        labels[row, [column[tag] for tag in own]] = True
    return labels, names


def texts_of(texts: Any) -> list[str]:
    """The texts of a list, an array, a column, or a table with one column of texts, as catalogues are read.

    Markup, letters that can't be seen and words that say nothing ("N/A") are taken out, as of a catalogue.

    Raises:
        MotagsError: one is no text, one text stands where a list belongs, or no column is known to hold texts.
    """
    if isinstance(texts, str | bytes):
        raise MotagsError("one text stands where a list of texts is expected: put it in brackets")
    if isinstance(texts, Mapping | Set):
        raise MotagsError(
            f"a {type(texts).__name__} stands where a list of texts is expected: give list(...) of its texts"
        )
    columns = getattr(texts, "column_names", None)  # pyarrow
    if columns is None and hasattr(texts, "columns"):  # pandas, polars
        columns = list(texts.columns)
    if columns is not None:
        texts = texts[_text_column(columns)]
    texts = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise MotagsError(f"text {row} is {text!r}, no text: give one, or leave the film out")
    cleaner = Cleaner(frozenset(NOTHING))
    return [cleaner.text(text) or "" for text in texts]


def _text_column(columns: Sequence[Any]) -> Any:
    """The one column of texts of a table: the only one, or the only one that a catalogue's text is taken from."""
    if len(columns) == 1:
        return columns[0]
    names = [column for column in columns if isinstance(column, str)]
    texts = [column.name for column in columns_of(names, {}, "the table") if column.field in TEXTS]
    if len(texts) != 1:
        raise MotagsError(
            f"a table stands where a list of texts is expected, and which of its columns {shown(columns)} holds them "
            "can't be told: give one column, as in table['synopsis']"
        )
    return texts[0]
