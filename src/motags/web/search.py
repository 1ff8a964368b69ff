"""Finding films by title and people, whatever the case and accents: texts and queries are folded alike."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from motags.films.facts import PEOPLE
from motags.films.film import Film

MOST_LETTERS = 200  # of a query
# letters that Unicode doesn't take apart, as most keyboards have them, and the signs of typesetters
PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h"}
    | dict.fromkeys("\u2018\u2019\u02bc", "'") | dict.fromkeys("\u2010\u2011\u2012\u2013", "-")
)  # fmt: skip


def names_of(film: Film) -> str:
    """What a film is found by, folded, one name a line: its title, directors, writers and cast."""
    people = [name for role in PEOPLE for name in getattr(film, role)]
    return "\n".join(map(folded, [film.title, *people]))


def words_of(query: str) -> list[str]:
    """The words of a query, folded: a film that is found has each of them somewhere in its names."""
    return list(dict.fromkeys(folded(query).split()))


def people_of(record: Mapping[str, Any], words: list[str]) -> list[str]:
    """The people of a film's record in whose names one of these words stands, each once."""
    people = [name for role in PEOPLE for name in record.get(role, ())]
    return [name for name in dict.fromkeys(people) if any(word in folded(name) for word in words)]


def folded(text: str) -> str:
    """A text in lower case without accents."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold().translate(PLAIN)
