"""Vocabulary: one spelling for each tag, whatever its sources call it."""

import csv
import unicodedata
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from motags.errors import MotagsError
from motags.films.film import Tag

if TYPE_CHECKING:
    import inflect

SYNONYMS = ["tag", "synonym"]
DESCRIPTIONS = ["tag", "description"]
GENRE_WORDS = (" film", " films", " movie", " movies")  # Wikidata says "drama film" where others say "Drama"


class Speller:
    """Spells tags: a genre as `genres` spells it, a keyword in lower case, a synonym as its tag.

    A keyword in `homonyms` is spelled like a genre but means something else ("family", the theme,
    beside "Family", the audience): only the exact spelling of the genre, or a source that calls it
    one, names the genre.

    Args:
        genres: the tags that are genres, as they shall appear.
        homonyms: keywords in lower case.
        synonyms: tag by synonym, as `read_synonyms` gives them.
    """

    def __init__(self, genres: list[str], homonyms: list[str], synonyms: dict[str, str]) -> None:
        self.homonyms = set(homonyms)
        self.synonyms = {_folded(synonym): composed(tag) for synonym, tag in synonyms.items()}
        self.by_spelling = {composed(genre): genre for genre in genres}
        self.by_fold = {_folded(genre): genre for genre in genres}
        self.spell = cache(self._spell)

    def is_genre(self, tag: Tag) -> bool:
        """Whether a tag is a genre, by the list or by its source."""
        return tag.kind == "genre" or self.spell(tag.name, tag.kind) in self.by_spelling.values()

    def _spell(self, name: str, kind: str | None) -> str:
        name = composed(name)
        if kind == "genre":
            name = next((name[: -len(word)] for word in GENRE_WORDS if name.casefold().endswith(word)), name)
        name = self.synonyms.get(_folded(name), name)
        if name in self.by_spelling:
            return self.by_spelling[name]
        folded = _folded(name)
        if folded in self.homonyms and kind != "genre":
            return folded
        return self.by_fold.get(folded, folded)


def one_number(counts: Counter[str]) -> dict[str, str]:
    """Tags that are the singular or plural of a more frequent one, and that one ("robots": "robot").

    Only forms that both occur are merged, so that "Paris" never becomes "pari".
    """
    import inflect  # noqa: PLC0415, only training needs it

    engine = inflect.engine()
    forms: dict[str, list[str]] = defaultdict(list)
    for tag in sorted(counts):
        forms[_stem(tag, counts, engine)].append(tag)
    replacements = {}
    for stem, tags in forms.items():
        winner = max(tags, key=lambda tag: (counts[tag], tag == stem))
        replacements.update({tag: winner for tag in tags if tag != winner})
    return replacements


def _stem(tag: str, counts: Counter[str], engine: "inflect.engine") -> str:
    """The singular of the singular … of a tag, as far as these occur."""
    forms = {tag}
    while True:
        head, _, last = tag.rpartition(" ")
        word = engine.singular_noun(last) if last.isalpha() and tag == tag.casefold() else False
        singular = f"{head} {word}".strip()
        if not word or singular in forms or singular not in counts:
            return tag
        forms.add(singular)
        tag = singular


def read_synonyms(path: Path) -> dict[str, str]:
    """Read a CSV file with the columns tag and synonym: each synonym is spelled as its tag.

    Raises:
        MotagsError: the file is missing or not of that form, or a synonym stands there twice or is itself a tag.
    """
    synonyms: dict[str, str] = {}
    for line, (tag, synonym) in enumerate(_pairs(path, SYNONYMS), start=2):
        if _folded(synonym) in map(_folded, synonyms):
            raise MotagsError(f"{path}, line {line}: {synonym!r} is a synonym of two tags; keep one")
        synonyms[synonym] = tag
    chained = {_folded(tag) for tag in synonyms.values()} & {_folded(synonym) for synonym in synonyms}
    if chained:
        raise MotagsError(f"{path}: {min(chained)!r} is both a tag and a synonym; name the last tag directly")
    return synonyms


def read_descriptions(path: Path, tags: list[str]) -> list[str]:
    """Read a CSV file with the columns tag and description: of each of `tags` its sentence, or "".

    Raises:
        MotagsError: the file is missing or not of that form, or describes a tag twice.
    """
    descriptions: dict[str, str] = {}
    for line, (tag, description) in enumerate(_pairs(path, DESCRIPTIONS), start=2):
        if composed(tag) in descriptions:
            raise MotagsError(f"{path}, line {line}: {tag!r} is described twice; keep one")
        descriptions[composed(tag)] = composed(description)
    return [descriptions.get(tag, "") for tag in tags]


def _pairs(path: Path, header: list[str]) -> list[list[str]]:
    """The rows of a CSV file with two columns, both filled."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            columns, *rows = csv.reader(file, strict=True)
    except FileNotFoundError:
        raise MotagsError(
            f"{path} is missing: make a CSV file with the columns {','.join(header)}, with or without rows"
        ) from None
    except (ValueError, csv.Error) as error:
        raise MotagsError(f"{path} can't be read as CSV with the columns {','.join(header)}: {error}") from None
    if columns != header:
        raise MotagsError(f"{path}, line 1: expected the columns {','.join(header)}, got {','.join(columns)}")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header) or not all(map(str.strip, row)):
            raise MotagsError(f"{path}, line {line}: expected a {header[0]} and a {header[1]}, got {','.join(row)!r}")
    return rows


def composed(text: str) -> str:
    """Text in compatibility-composed Unicode with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _folded(text: str) -> str:
    return composed(composed(text).casefold())
