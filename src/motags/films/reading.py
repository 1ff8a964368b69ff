"""A catalogue as training, tagging, suggesting, reviewing and checking read it: one way for all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from motags.films.columns import OWN_OUTPUT, Column, columns_of, warning_without_text
from motags.films.facts import FactReader, names_separator
from motags.films.files import CsvFrame, Frame, Row, opened, shown_name
from motags.films.tags import known_separator, separator_of, tag_list
from motags.films.values import FACTS, LISTS, NOTHING, READ, Cleaner, Unreadable

SAMPLE = 1000  # rows whose tags and lists show what stands between them
MAX_SET_ASIDE = 0.05  # share of rows that may be set aside where nothing else is said
TOLD = 5  # of what is set aside, how many are named one by one
CHANGES = {
    "empty_rows": "{} empty rows passed over",
    "nothing": "{} cells say nothing (\\N, N/A and the like)",
    "markup": "markup taken out of {} texts",
    "invisible": "invisible letters taken out of {} texts",
    "years": "{} years that are none left out",
    "ids": "{} ids written with decimals",
    "tags": "{} tags that say nothing left out",
    "lists": "tags of {} films are lists written as text",
    "apostrophes": "{} apostrophes before formulas taken away",
    "facts": "{} facts that can't be read left out",
    "files": "{} posters or trailers left out: they are addresses, or lie outside the catalogue's folder",
}


@dataclass(frozen=True)
class ReadingRules:
    """How a catalogue is to be read; what is "" or not named is detected.

    Attributes:
        encoding: of text; delimiter: between the cells of CSV; separator: between the tags of one text;
        columns: names of columns by what they say; nothing: words that stand for nothing, in any case.
    """

    encoding: str = ""
    delimiter: str = ""
    separator: str = ""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nothing: tuple[str, ...] = NOTHING


class Reading:
    """The rows of a catalogue, cleaned, as a stream: (line, row) pairs; a row that can't be parsed is an `Unreadable`.

    A row has the fields of `values.READ` that the catalogue names; what is of a wrong type stays as it is, apart from
    facts. Paths of files begin in the working folder.

    Args:
        source: the file, None for standard input; with_tags: whether tags are read;
        frame: films in memory, in the place of a file: they need neither texts nor ids, their files may lie anywhere.

    Attributes:
        name: what the catalogue is called in messages; columns: as they are taken;
        separators: between tags or names, by column; noted: how the file is written, where it is not plain;
        counts: of what was changed, by the keys of CHANGES; ignored: names of columns that are not read.
        All are complete when the rows are read.
    """

    def __init__(
        self, source: Path | None, rules: ReadingRules | None = None, with_tags: bool = True,
        frame: Frame | None = None,
    ) -> None:  # fmt: skip
        self.source, self.rules, self.with_tags, self._frame = source, rules or ReadingRules(), with_tags, frame
        self.name = "the films" if frame else shown_name(source)
        self.columns: list[Column] = []
        self.separators: dict[str, str] = {}
        self.noted: list[str] = []
        self.ignored: set[str] = set()
        self._cleaner = Cleaner(frozenset(self.rules.nothing))
        self._facts = FactReader(self._cleaner, None if frame else source.parent if source else Path())
        self.counts: Counter[str] = self._cleaner.counts

    def __iter__(self) -> Iterator[Row]:
        """Read the rows.

        Raises:
            FileNotFoundError: there is no such file.
            MotagsError: it can't be read, or no column of it holds a text.
        """
        source = nullcontext(self._frame) if self._frame else None
        with source or opened(self.source, self.rules.encoding, self.rules.delimiter) as frame:
            self.noted = list(frame.noted)
            rows = self._begun(frame)
            yield from rows
            if isinstance(frame, CsvFrame) and frame.empty:
                self.counts["empty_rows"] = frame.empty

    def _begun(self, frame: Frame) -> Iterator[Row]:
        names = list(frame.names)
        self.columns = columns_of(names, self.rules.columns, self.name)
        taken = {column.name for column in self.columns}
        self.ignored |= {name for name in names if name.strip() and name not in taken}
        if unnamed := sum(not name.strip() for name in names):
            self.noted.append(f"{unnamed} columns without a name")
        rows: Iterator[Row] = iter(frame.rows([name for name in names if name in taken]))
        first = list(islice(rows, 1))
        in_file = self._frame is None
        if names and first and in_file and (warning := warning_without_text(self.columns, names, self.name)):
            self.noted.append(warning)
        titled = bool(names) and in_file and not any(column.field == "id" for column in self.columns)
        if titled:
            self.noted.append("no column of ids: title and year stand for it")
        self._sample(first, rows)
        named = {column.field for column in self.columns}
        plan = [*self.columns, *(Column(field, field) for field in READ if field not in named)]
        undo = set(names) >= OWN_OUTPUT and isinstance(frame, CsvFrame)
        return self._cleaned(chain(first, rows), plan, titled, undo)

    def _sample(self, first: list[Row], rows: Iterator[Row]) -> None:
        """Add rows to the first, and see in them what separates the tags and names of each column."""
        split = {*LISTS, "tags"} if self.with_tags else set(LISTS)
        if columns := [column for column in self.columns if column.field in split]:
            first += islice(rows, SAMPLE)
        for column in columns:
            cells = [row.get(column.name) for _, row in first if isinstance(row, dict)]
            texts = [str(cell) for cell in cells if not self._cleaner.is_nothing(cell)]
            separator = self._tag_separator if column.field == "tags" else self._name_separator
            self.separators[column.name] = separator(column, texts)

    def _name_separator(self, column: Column, texts: list[str]) -> str:
        separator, has_commas = names_separator(texts, column.field)
        if separator != "|":
            self.noted.append(f"names in {column.name} are separated by {separator!r}")
        elif has_commas:
            self.noted.append(f"commas in {column.name} belong to the names")
        return separator

    def _tag_separator(self, column: Column, texts: list[str]) -> str:
        if self.rules.separator:
            return known_separator(self.rules.separator)
        separator = separator_of(texts, self.name)
        if separator != "|":
            self.noted.append(f"{column.name} are separated by {separator!r}")
        return separator

    def _cleaned(self, rows: Iterable[Row], plan: list[Column], titled: bool, undo: bool) -> Iterator[Row]:
        known = {column.name for column in plan}
        texts = [column for column in plan if column.field not in {"id", "year", "tags", *FACTS}]
        others = [column for column in plan if column.field in {"id", "year", "tags"}]
        facts = [column for column in plan if column.field in FACTS]
        fact_names = frozenset(column.name for column in facts)
        for line, row in rows:
            if not isinstance(row, dict):
                yield line, row
                continue
            if not row.keys() <= known:
                self.ignored |= row.keys() - known
            if undo:
                row = {name: self._without_apostrophe(cell) for name, cell in row.items()}  # noqa: PLW2901
            cleaned = {own: self._cleaner.text(row[name]) for own, name, _ in texts if name in row}
            if not fact_names.isdisjoint(row):  # most catalogues have none
                self._add_facts(row, facts, cleaned)
            yield line, self._others(row, others, cleaned, titled)

    def _add_facts(self, row: dict[str, Any], columns: list[Column], cleaned: dict[str, Any]) -> None:
        for own, name, _ in columns:
            if name in row:
                value = self._facts.value(own, row[name], self.separators.get(name, "|"))
                if isinstance(value, list) and own in cleaned:  # of several columns
                    value = list(dict.fromkeys(cleaned[own] + value))
                cleaned[own] = value

    def _others(self, row: dict[str, Any], columns: list[Column], cleaned: dict[str, Any], titled: bool) -> Any:
        """The row with its id, year and tags, or the reason why it can't be read."""
        for own, name, kind in columns:
            if name not in row:
                continue
            if own == "id":
                cleaned[own] = self._cleaner.id(row[name])
            elif own == "year":
                cleaned[own] = self._cleaner.year(row[name])
            elif self.with_tags:
                try:
                    tags = tag_list(row[name], self._cleaner, self.separators.get(name, "|"), kind)
                except ValueError as error:
                    return Unreadable(f"{name}: {error}")
                cleaned[own] = cleaned[own] + tags if isinstance(cleaned.get(own), list) else tags
        if titled and isinstance(title := cleaned.get("title"), str):
            cleaned["id"] = f"{title} ({year})" if (year := cleaned.get("year")) else title
        return cleaned

    def _without_apostrophe(self, cell: Any) -> Any:
        """A cell as it was before `artifacts.neutral`."""
        if isinstance(cell, str) and cell[:1] == "'" and cell[1:2] in {"=", "+", "-", "@"}:
            self.counts["apostrophes"] += 1
            return cell[1:]
        return cell

    def said(self) -> list[str]:
        """What was understood that is not as documented, changed, or not read: for the user, when all is read."""
        renamed = [f"{own} = {name}" for own, name, _ in self.columns if own != name]
        changed = [CHANGES[key].format(f"{number:,}") for key, number in sorted(self.counts.items()) if number]
        ignored = [f"columns ignored: {', '.join(sorted(map(str, self.ignored)))}"] if self.ignored else []
        return [*self.noted, *([f"columns taken: {', '.join(renamed)}"] if renamed else []), *changed, *ignored]
