"""Finding films by title and people, whatever the case and accents: texts and queries are folded alike."""

import unicodedata

from motags.films.film import Film

MOST_LETTERS = 200  # of a query
# letters that Unicode doesn't take apart, as most keyboards have them, and the signs of typesetters
PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h"}
    | dict.fromkeys("\u2018\u2019\u02bc", "'") | dict.fromkeys("\u2010\u2011\u2012\u2013", "-")
)  # fmt: skip


def names_of(film: Film) -> str:
    """What a film is found by, folded, one name a line: its title, directors, writers and cast."""
    return "\n".join(map(folded, [film.title, *film.directors, *film.writers, *film.cast]))


def words_of(query: str) -> list[str]:
    """The words of a query, folded: a film that is found has each of them somewhere in its names."""
    return list(dict.fromkeys(folded(query).split()))


def folded(text: str) -> str:
    """A text in lower case without accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold().translate(PLAIN)
