"""Tags as users have them, lists or tables, as an array of labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from motags.errors import MotagsError


def labels_of(Y: Any, tags: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Labels (n, t) bool and t names, of an array, a pandas table with a column per tag, or n lists of tags.

    Args:
        tags: the names; if not given, the table's columns, numbers, or all tags of the lists.

    Raises:
        MotagsError: a cell is neither true nor false, a tag is unknown or stands where a list of tags belongs, or there
            is another number of names than of columns.
    """
    if hasattr(Y, "to_numpy"):
        tags = [str(name) for name in Y.columns] if tags is None and hasattr(Y, "columns") else tags
        Y = Y.to_numpy()
    if isinstance(Y, np.ndarray) and (Y.dtype.kind in "biuf" or (Y.dtype.kind == "O" and Y.ndim == 2)):
        return _of_table(Y, tags)
    return _of_lists(Y, tags)


def _of_table(Y: np.ndarray, tags: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    try:
        cells = Y.reshape(len(Y), -1).astype(float)
    except (TypeError, ValueError) as error:
        raise MotagsError(f"the table of tags holds more than true and false: {error}") from error
    if np.isnan(cells).any():
        raise MotagsError(f"row {np.isnan(cells).any(1).argmax()} of the table of tags has a cell without a value")
    names = [str(j) for j in range(cells.shape[1])] if tags is None else list(tags)
    if len(names) != cells.shape[1]:
        raise MotagsError(f"{cells.shape[1]} columns of tags have {len(names)} names: give one for each")
    return cells.astype(bool), names


def _of_lists(Y: Any, tags: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    if lone := [own for own in Y if isinstance(own, str)]:
        raise MotagsError(f"{str(lone[0])!r} stands where a list of tags is expected: give one list for each text")
    names = sorted({tag for own in Y for tag in own}) if tags is None else list(tags)
    column = {tag: j for j, tag in enumerate(names)}
    if strange := sorted({tag for own in Y for tag in own if tag not in column}):
        raise MotagsError(f"{strange[0]!r} is none of the tags: {', '.join(names)}")
    labels = np.zeros((len(Y), len(names)), dtype=bool)
    for row, own in enumerate(Y):
        labels[row, [column[tag] for tag in own]] = True
    return labels, names
