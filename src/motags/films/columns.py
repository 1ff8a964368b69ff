"""Which column of a catalogue says what: our names, those of well-known exports, and those that the user gives."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from motags.errors import MotagsError
from motags.films.values import FACTS, LISTS, READ

TEXTS = ("text", "plot", "synopsis", "lead")  # columns that a film's text is taken from

# In TMDB, MovieLens, IMDb, Kaggle's Wikipedia plots, Netflix titles and the like; the first that is there counts, of
# tags all, and of numbered columns (Star1, Star2) too. Case, blanks, hyphens and underscores make no difference.
KNOWN: dict[str, tuple[str, ...]] = {
    "id": ("film id", "movie id", "show id", "tconst", "tmdb id", "imdb id", "imdb title id", "wikidata id", "item id"),
    "title": ("primary title", "series title", "movie title", "film title", "movie name", "film name", "name", "film",
              "movie", "original title"),
    "year": ("release year", "released year", "start year", "title year", "movie year", "year of release",
             "release date", "date published", "premiered", "released"),
    "text": (),
    "plot": ("full plot", "fullplot", "wiki plot", "movie plot", "plot synopsis"),
    "synopsis": ("overview", "description", "summary", "storyline", "plot summary", "plot outline", "short description",
                 "long description", "logline", "movie description"),
    "lead": ("extract", "abstract"),
    "tagline": ("taglines",),
    "directors": ("director", "directed by", "director name"),
    "writers": ("writer", "written by", "screenwriter", "screenwriters", "authors"),
    "cast": ("actors", "starring", "star", "star 1", "star 2", "star 3", "star 4", "actor 1 name", "actor 2 name",
             "actor 3 name"),
    "companies": ("production companies", "production company", "company", "studio", "studios"),
    "countries": ("production countries", "country", "country of origin", "origin country"),
    "languages": ("original language", "language", "spoken languages"),
    "runtime": ("runtime minutes", "runtime (minutes)", "running time", "duration"),
    "poster": ("poster path",),
    "trailer": ("trailer path",),
    "tags": ("genres", "genre", "listed in", "keywords", "plot keywords"),
}  # fmt: skip
KINDS = {"genres": "genre", "genre": "genre", "keywords": "keyword", "plotkeywords": "keyword"}
OWN_OUTPUT = {"id", "title", "tags", "cluster", "model_version"}  # of `motags tag`
NUMBERED = re.compile(r"\d")
BESIDE_TEXT = {"directors", "writers", "cast", "companies", "poster", "trailer"}  # what tells a film without a text
SHOWN = 20  # columns that a message names


class Column(NamedTuple):
    """A column that is read: what it says, its name in the file, and the kind of its tags beside those of another."""

    field: str
    name: str
    kind: str | None = None


def columns_of(names: Iterable[str], chosen: Mapping[str, tuple[str, ...]], catalogue: str) -> list[Column]:
    """The columns that are read of those that a catalogue has.

    Args:
        names: as the file names them; chosen: names of columns by what they say, which go before ours.

    Raises:
        MotagsError: a chosen column is not there, or two columns have one name.
    """
    names = [name for name in names if isinstance(name, str) and name.strip()]
    by_folded: dict[str, list[str]] = {}
    for name in names:
        by_folded.setdefault(folded(name), []).append(name)
    taken = []
    for field in READ:
        wanted = chosen.get(field) or ()
        for name in wanted:
            if name not in names:
                raise MotagsError(
                    f"{catalogue} has no column {name!r}, which --column {field}={name} (crawl.columns) names: it has "
                    f"{shown(names)}"
                )
            taken.append(Column(field, name))
        if not wanted:
            taken += _known(field, by_folded, {name for own in chosen.values() for name in own}, catalogue)
    return taken


def _known(field: str, by_folded: Mapping[str, list[str]], chosen: set[str], catalogue: str) -> list[Column]:
    found = []
    for known in (field, *KNOWN[field]):
        own = [name for name in by_folded.get(folded(known), []) if name not in chosen]
        own = [known] if known in own and own.count(known) == 1 else own
        own = own[:1] if field in FACTS else own  # a fact is no reason to refuse a catalogue
        if len(own) > 1:
            raise MotagsError(f"{catalogue}: its header names {own[0]!r} twice: keep one of the columns")
        found += [Column(field, name, KINDS.get(folded(known))) for name in own]
    if field == "tags" and len(found) > 1 and folded(found[0].name) != "tags":
        return found  # genres beside keywords
    if field in LISTS and found and NUMBERED.search(found[0].name):
        return [column for column in found if NUMBERED.search(column.name)]
    return [column._replace(kind=None) for column in found[:1]]


def folded(name: str) -> str:
    """A column's name without case, blanks, hyphens and underscores."""
    return re.sub(r"[\s_\-.]+", "", name.strip("\ufeff ")).casefold()


def is_known(name: str) -> bool:
    """Whether a column's name is one that is read."""
    return folded(name) in _FOLDED


_FOLDED = {folded(name) for field, names in KNOWN.items() for name in (field, *names)}


def warning_without_text(columns: Iterable[Column], names: Iterable[str], catalogue: str) -> str:
    """What is to be said of a catalogue without a column of texts: "" if it has one, or is what `motags tag` wrote.

    Raises:
        MotagsError: no column holds a text, a person, a company or a picture: nothing can be told of the films.
    """
    fields = {column.field for column in columns}
    if fields & {*TEXTS, "tagline"} or set(names) >= OWN_OUTPUT:
        return ""
    if fields & BESIDE_TEXT:
        return f"no column holds a text ({', '.join(TEXTS)}): films are known by other columns alone"
    raise MotagsError(
        f"no column of {catalogue} holds a text: it has {shown(names)}; read are {', '.join(TEXTS)} and names such as "
        f"{', '.join(KNOWN['synopsis'][:4])}: say which it is by --column synopsis=NAME (crawl.columns)"
    )


def shown(names: Iterable[str]) -> str:
    """Names of columns for a message."""
    names = [str(name) for name in names if str(name).strip()]
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "no named column") + rest
