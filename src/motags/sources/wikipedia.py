"""What a film's Wikipedia article says, read from its wikitext: plot, lead, categories, year, poster."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from mwparserfromhell.nodes import Template

from motags.sources.wikitext import parsed, prose, visible

HEADING = re.compile(r"^(=++)[ \t]*([^\n]*[^=\s])[ \t]*(=+)[ \t]*$", re.MULTILINE)
STUB_WORDS = 30
PLOT_HEADINGS = (
    "plot",
    "plot summary",
    "plot synopsis",
    "plot outline",
    "plot overview",
    "film plot",
    "the plot",
    "synopsis",
    "plot and synopsis",
    "film synopsis",
    "brief synopsis",
    "storyline",
    "story line",
    "story",
    "the story",
    "story outline",
    "story summary",
    "summary",
    "film summary",
    "premise",
    "narrative",
)
# These say "plot" beside any other word ("Cast and plot"); "Story and script" is most often about the making.
SURE_HEADINGS = frozenset(PLOT_HEADINGS[: PLOT_HEADINGS.index("story")]) | {"premise"}
PLOT_WORD = re.compile("plot|synopsis|story|summary|premise|narrative", re.IGNORECASE)
HEADING_WORDS = re.compile(r"\s*(?:[/&,:()\u2013\u2014+]|\band\b|\bof the film\b)\s*")

CATEGORY = re.compile(r"\[\[\s*category\s*:([^\[\]|\n]+)(\|[^\[\]\n]*)?\]\]", re.IGNORECASE)
YEAR = r"(18[7-9]\d|19\d\d|20\d\d)"
YEAR_FILMS = re.compile(rf"{YEAR} films")
SERIES = re.compile(r"^[^()]*\bfilm (?:series|trilogies|tetralogies|franchises)\b[^()]*$", re.IGNORECASE)
CONTENT = re.compile(
    r"(?!lists? of)(?:.*\s)?(?:films|fiction|works) "
    r"(?:(?:about|set (?:in|on|at|during|aboard|around|within))(?: (?:the|an?))?|(based on)) (\S.*)",
    re.IGNORECASE,
)
INFOBOX = re.compile(
    r"\{\{\s*infobox[ _]+(?:film|movie|television[ _]film|tv[ _]film|short[ _]film|hollywood[ _]cartoon)\s*(?=[|}<])",
    re.IGNORECASE,
)
FILM_CATEGORY = re.compile(rf"\[\[\s*category\s*:[\s_]*{YEAR}[\s_]+films", re.IGNORECASE)
MAX_FIELD = 500
POSTER = re.compile(
    r"(?:(?:file|image)\s*:)?\s*([^|\[\]{}<>\n:#]+?\.(?:jpe?g|png|gif|svg|webp|tiff?))\b", re.IGNORECASE
)
DATE = re.compile(rf"(?<!\d){YEAR}(?!\d)")
REDIRECT = re.compile(r"\s*#redirect\s*:?\s*\[\[\s*:?([^\[\]|#\n]+)", re.IGNORECASE)
DISAMBIGUATION = re.compile(
    r"\{\{\s*(?:(?:[\w\u2013-]+[ _]){0,5}disambiguation|disambig|disamb|dab|(?:hn|geo|road|school|number|mil-unit-)dis"
    r"|disambig[ _-]cleanup|disambiguation[ _]cleanup|sia|set[ _]index(?:[ _]article)?|surname|given[ _]name)\s*[|}]",
    re.IGNORECASE,
)
IMDB = re.compile(r"\{\{\s*imdb[ _-]?(?:title|movie|film)\s*\|([^{}]*)\}\}", re.IGNORECASE)
IMDB_NUMBER = re.compile(r"(?:^|\|)\s*(?:(?:id|1)\s*=)?\s*(?:tt)?(\d{1,9})\s*(?:/\s*)?(?=\||$)", re.IGNORECASE)


class Heading(NamedTuple):
    """A heading of a page: its level and text, where its line begins and ends."""

    level: int
    title: str
    start: int
    end: int


def plot(wikitext: str) -> str | None:
    """The plot as clean paragraphs, a blank line between two; None without a plot section that holds prose.

    The sections are tried in the order of PLOT_HEADINGS, then of the page, those of level 2 before those of levels 1
    and 3: the first with at least STUB_WORDS words wins, else the longest.
    """
    text = visible(wikitext)
    headings = _headings(text)
    ranks = [(_rank(heading.title), number) for number, heading in enumerate(headings)]
    for levels in ((2,), (1, 3)):
        ranked = sorted((r, n) for r, n in ranks if r is not None and headings[n].level in levels)
        stubs = []
        for _, number in ranked:
            story = prose(_body(text, headings, number))
            if len(story.split()) >= STUB_WORDS:
                return story
            stubs.append(story)
        if any(stubs):
            return max(stubs, key=len)
    return None


def lead(wikitext: str) -> str | None:
    """The prose before the first heading, cleaned as a plot is; None where there is none, as on a redirect."""
    if redirect(wikitext):
        return None
    return prose(_head(wikitext)) or None


def categories(wikitext: str) -> list[str]:
    """The names of the page's categories in their order, each once, without sort keys."""
    return list(dict.fromkeys(name for name, _ in _categories(wikitext)))


def content_tags(categories: list[str]) -> list[str]:
    """What the film is about, where and when it is set and what it is based on, in the words of its categories."""
    found = (CONTENT.fullmatch(category) for category in categories)
    return list(dict.fromkeys(f"{match[1].lower()} {match[2]}" if match[1] else match[2] for match in found if match))


def year(wikitext: str) -> int | None:
    """The earliest year of its "YYYY films" categories, else of the infobox's release dates; None without both."""
    named = [int(match[1]) for name, _ in _categories(wikitext) if (match := YEAR_FILMS.fullmatch(name))]
    return min(named or map(int, DATE.findall(_field(wikitext, "released"))), default=None)


def is_film(wikitext: str) -> bool:
    """Whether the article is about one film: a "YYYY films" category, or a film's infobox before the first heading.

    A page of a film series may have the infobox, but stands in a category of film series and in none of a year.
    """
    # Of 20 million pages most end here: two searches of a known beginning are five times as fast as one of both.
    if not (INFOBOX.search(wikitext) or FILM_CATEGORY.search(wikitext)):
        return False
    names_and_keys = list(_categories(wikitext))
    if any(YEAR_FILMS.fullmatch(name) and not key.startswith((" ", "*")) for name, key in names_and_keys):
        return True
    return INFOBOX.search(_head(wikitext)) is not None and not any(SERIES.match(name) for name, _ in names_and_keys)


def redirect(wikitext: str) -> str | None:
    """The title that the page redirects to, without its section; None if it is no redirect."""
    match = REDIRECT.match(wikitext)
    return " ".join(match[1].replace("_", " ").split()) or None if match else None


def is_disambiguation(wikitext: str) -> bool:
    """Whether the page lists several things of one name (a disambiguation page or a set index)."""
    return DISAMBIGUATION.search(visible(wikitext)) is not None


def poster(wikitext: str) -> str | None:
    """The name of the infobox's image, without its namespace; None where the field is empty or absent."""
    match = POSTER.search(_field(wikitext, "image")[:MAX_FIELD])
    name = " ".join(match[1].replace("_", " ").split()) if match else ""
    return name[0].upper() + name[1:] if name else None


def imdb_id(wikitext: str) -> str | None:
    """The id of the first {{IMDb title}}, as "tt0083511"; None where none names one."""
    for match in IMDB.finditer(visible(wikitext)):
        if number := IMDB_NUMBER.search(match[1]):
            return f"tt{number[1].zfill(7)}"
    return None


def _headings(text: str) -> list[Heading]:
    matches = HEADING.finditer(text)
    return [Heading(min(len(match[1]), len(match[3])), match[2], match.start(), match.end()) for match in matches]


def _body(text: str, headings: list[Heading], number: int) -> str:
    """What stands under a heading, down to the next one that is not below it."""
    level, _, _, start = headings[number]
    return text[start : next((h.start for h in headings[number + 1 :] if h.level <= level), len(text))]


def _head(wikitext: str) -> str:
    """What stands before the first heading, without comments and footnotes."""
    text = visible(wikitext)
    heading = HEADING.search(text)
    return text[: heading.start()] if heading else text


def _rank(title: str) -> int | None:
    """How well a heading names a plot: its place in PLOT_HEADINGS, None where it is not one."""
    if not PLOT_WORD.search(title):
        return None
    name = prose(title).casefold().strip(" .")
    if name in PLOT_HEADINGS:
        return PLOT_HEADINGS.index(name)
    words = [word for word in HEADING_WORDS.split(name) if word]
    known = [word for word in words if word in PLOT_HEADINGS]
    if known and (len(known) == len(words) or SURE_HEADINGS.intersection(known)):
        return len(PLOT_HEADINGS) + min(map(PLOT_HEADINGS.index, known))
    return None


def _categories(wikitext: str) -> Iterator[tuple[str, str]]:
    """Each category of the page with its sort key."""
    for match in CATEGORY.finditer(visible(wikitext)):
        if name := " ".join(match[1].replace("_", " ").split()):
            yield name[0].upper() + name[1:], (match[2] or "|")[1:]


def _field(wikitext: str, name: str) -> str:
    infobox = _infobox(wikitext)
    return str(infobox.get(name).value) if infobox and infobox.has(name) else ""


@lru_cache(maxsize=1)
def _infobox(wikitext: str) -> Template | None:
    """The film's infobox, if it stands before the first heading."""
    text = _head(wikitext)
    if not INFOBOX.search(text):
        return None
    found = parsed(text).ifilter_templates(matches=lambda template: bool(INFOBOX.match(str(template))))
    return next(found, None)
