"""The tags of a film in whatever notation they come: lists, lists written as text, texts with a separator."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import unescape
from typing import Any

from motags.errors import MotagsError
from motags.films.markup import NO_ENTITY
from motags.films.values import Cleaner

SEPARATORS = ("|", ";", ",", "/", "#", "\n", "\t")
WRITTEN = {"\\n": "\n", "\\t": "\t", "tab": "\t"}  # what is hard to write in a shell
CERTAIN = 0.5  # share of texts with a separator, or of its parts that stand elsewhere too, for it to be taken
DOUBTFUL = 0.05  # share of texts from which on a separator that is not certain has to be named
QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
PART = rf"(?:{QUOTED}|None|null|nan)"
STRINGS = re.compile(rf"[\[({{]\s*{PART}(?:[\s,]+{PART})*[\s,]*[\])}}]", re.DOTALL)
NUMPY = r"(?:np\.|numpy\.)?(?:array|list|tuple|(?:frozen)?set|Index)"
CALL = re.compile(rf"{NUMPY}\((.*?)(?:,\s*dtype=[\w'\"]+)?\)", re.DOTALL)
LONGEST = 2**16  # letters of a list written as text
NAME_KEYS = ("name", "tag")


def tag_list(value: Any, cleaner: Cleaner, separator: str = "|", kind: str | None = None) -> Any:
    """The tags of a cell as dictionaries with `name` and, where it is known, `kind`; other types as they are.

    Raises:
        ValueError: a list that is written in no notation that is known.
    """
    if isinstance(value, bytes | str):
        text = cleaner.text(value)
        bracketed = None if text is None else in_brackets(text)
        cleaner.counts["lists"] += bracketed is not None
        value = [] if text is None else split(text, separator) if bracketed is None else parsed(bracketed)
    if not isinstance(value, list | tuple | set | frozenset):
        return [] if value is None or value != value else value  # noqa: PLR0124, only NaN differs from itself
    tags = []
    for tag in value:
        name = _name(tag, cleaner)
        if name is None:
            cleaner.counts["tags"] += not (isinstance(tag, str) and not tag.strip())
        else:
            tags.append(name if kind is None or not isinstance(name, dict) else {"kind": kind} | name)
    return tags


def _name(tag: Any, cleaner: Cleaner) -> Any:
    if isinstance(tag, dict):
        key = next((key for key in NAME_KEYS if isinstance(tag.get(key), str)), None)
        name = cleaner.text(tag[key]) if key else None
        return tag if name is None else {own: tag[own] for own in ("kind",) if tag.get(own)} | {"name": name}
    name = cleaner.text(tag) if tag is None or isinstance(tag, str | bytes | float) else tag
    return {"name": name} if isinstance(name, str) else name


def split(text: str, separator: str | re.Pattern[str]) -> list[str]:
    """The parts of a text between separators."""
    if isinstance(separator, re.Pattern):
        return separator.split(unescaped(text))
    return unescaped(text).split(separator) if separator else [text]


def in_brackets(text: str) -> str | None:
    """The list that a text is, without numpy's call around it; None where it is no list."""
    inner = CALL.fullmatch(text)
    bracketed = inner[1].strip() if inner else text
    return bracketed if is_bracketed(bracketed) else None


def unescaped(text: str) -> str:
    """A text without entities, whose semicolons would separate."""
    return unescape(NO_ENTITY.sub("&amp;", text)) if "&" in text else text


def is_bracketed(text: str) -> bool:
    """Whether a text is a list in brackets: [..] and {..} always, (..) where it holds quoted texts."""
    if text.startswith(("[{", "['", '["')):  # also where its end is cut off
        return True
    ends = text[:1] + text[-1:]
    return ends in {"[]", "{}"} or (ends == "()" and bool(STRINGS.fullmatch(text[:LONGEST])))


def parsed(text: str) -> list[Any]:
    """The parts of a list in brackets: texts, with or without quotes and commas (Python, numpy, JSON), or objects.

    Raises:
        ValueError: it is written in no notation that is known, or too long.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a list of more than {LONGEST:,} letters")
    if STRINGS.fullmatch(text):  # by its quotes: two texts without a comma are one to Python, but two to numpy
        return [ast.literal_eval(part) for part in re.findall(QUOTED, text, re.DOTALL)]
    if text[0] != "{" and not re.search(r"['\"{}\[\]:]", text[1:-1]):  # words without quotes
        return text[1:-1].split(",")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            value = None
    if isinstance(value, dict):
        value = of_object(value)
    if value is None:
        raise ValueError(f"a list in no notation that is known (got {text[:40]!r})")
    return list(value) if isinstance(value, list | tuple | set) else [value]


def of_object(value: dict[Any, Any]) -> list[Any] | None:
    """The parts of a list that is one object: itself, or names by their ids in Freebase; None where it is neither."""
    if isinstance(value.get("name"), str):
        return [value]
    return list(value.values()) if value and all(str(key).startswith("/m/") for key in value) else None


def separator_of(texts: Iterable[str], name: str) -> str:
    """What stands between the tags of a catalogue's texts: `|` where nothing else is certain.

    A separator is certain where most texts hold it, or where most of the parts that it makes stand in other texts too.

    Raises:
        MotagsError: two are as likely, or one stands in some texts and may or may not be one.
    """
    texts = [text.strip() for text in texts if text.strip() and not is_bracketed(text.strip())]
    texts = [unescaped(text) for text in texts if not CALL.fullmatch(text)]
    shares = {own: sum(own in text for text in texts) / len(texts) for own in SEPARATORS} if texts else {}
    held = sorted((own for own in shares if shares[own]), key=lambda own: -shares[own])
    sure = [own for own in held if shares[own] > CERTAIN or recurring(text.split(own) for text in texts) >= CERTAIN]
    if "|" in held and (not sure or shares["|"] >= shares[sure[0]]):
        return "|"
    if not sure:
        doubtful = [own for own in held if shares[own] >= DOUBTFUL]
        if doubtful:
            raise _doubt(name, texts, doubtful[:1])
        return "|"
    if "|" in held or (len(sure) > 1 and shares[sure[0]] == shares[sure[1]]):
        raise _doubt(name, texts, ["|", sure[0]] if "|" in held else sure[:2])
    return sure[0]


def recurring(texts: Iterable[Sequence[str]]) -> float:
    """Of the parts of texts that have several the share that stands in more than one text."""
    parts = [({part.strip().casefold() for part in text} - {""}, len(text) > 1) for text in texts]
    counts = Counter(part for own, _ in parts for part in own)
    split = [part for own, several in parts if several for part in own]
    return sum(counts[part] > 1 for part in split) / len(split) if split else 0.0


def _doubt(name: str, texts: list[str], separators: list[str]) -> MotagsError:
    example = next(text for text in texts if separators[-1] in text)
    between = " or ".join(repr(own) for own in separators)
    return MotagsError(
        f"{name}: whether {between} stands between tags can't be told (as in {example[:60]!r}): say what does by "
        "--tag-separator (crawl.separator)"
    )


def known_separator(separator: str) -> str:
    """What stands between tags, as a user named it."""
    return WRITTEN.get(separator.casefold(), separator)
