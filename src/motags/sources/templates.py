"""What a reader sees of a template or parser function of the English Wikipedia, by its name.

Of a template that no table here knows the first argument is kept where it stands among text; both what is kept so and
what is lost is counted (`counted`).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Arguments = dict[str, str]

PROSE_WORDS = 8  # words: an argument of so many is prose, even where its template stands alone in its line
# What is seen of a template, and its names: {1|text} is the first of these arguments that is not empty. Signs are
# entities: these can neither be taken for markup nor join with marks beside them.
TEMPLATES = {
    "&#39;": "', -', '-",
    "&#39;s": "'s",
    '"': '", -", "-',
    '&#39;"': "'\", ' \"",
    '"&#39;': "\"', \" '",
    "&#124;": "!",
    "&#61;": "=",
    "&ndash;": "ndash, en dash",
    "&mdash;": "mdash, em dash, --",
    " &ndash; ": "snd, spnd, sndash, spndash, spaced ndash, spaced en dash, dash",
    " &mdash; ": "spaced mdash, spaced em dash",
    " ": "nbsp, space, spaces, thinsp, thin space, hair space, break, br, crlf",
    "c. {1}": "circa, c., ca",
    "{1}": "nowrap, nobr, nobreak, nwr, no wrap, small, smaller, big, larger, large, resize, em, strong, w, italic, "
    "noitalic, bold, nobold, smallcaps, sc, allcaps, u, underline, sup, sub, abbr, abbrv, tooltip, hover title, sic, "
    "not a typo, typo, as written, proper name, linktext, interp, bracket, noredir, nihongo2, visible anchor, vanchor",
    "\n\n{1}\n\n": "plainlist, plain list, flatlist",
    "\n\n{1|text|quote}\n\n": "quote, blockquote, block quote, bquote, quotation, cquote, poem quote, poemquote, poem",
    "{1|3|2}": "nihongo, nihongo3, nihongo krt, nihongo4",
    "{2|text}": "lang, langx, color, colour, font color, font colour, fontcolor, fontcolour, colored text, legend",
    "{3|2}": "transliteration, transl, tlit",
    "{lt|1}": "ill, interlanguage link, illm, interlanguage link multi",
    "{1} {2}": "ship",
    "US${1}": "us$, usd",
    "A${1}": "a$, aud",
    "C${1}": "c$, cad, ca$",
    "HK${1}": "hk$, hkd",
    "NZ${1}": "nz$, nzd",
    "£{1}": "gbp, £",
    "€{1}": "euro, €, eur",
    "₹{1}": "inr, ₹",
    "¥{1}": "jpy, ¥, cny, rmb, cn¥",
    "₩{1}": "krw, ₩",
    "₽{1}": "rub, ₽",
}
SEEN = {name: seen for seen, names in TEMPLATES.items() for name in names.split(", ")}
SEEN |= {name.lower(): name + " {1}" for name in ("USS", "HMS", "RMS", "SS", "MS", "MV", "HMCS", "HMAS")}
ARGUMENT = re.compile(r"\{([\w|]+)\}")
# Footnotes, doubts about the text, remarks above an article or section, boxes, pictures, pronunciation.
HIDDEN = re.compile(
    r"(?:cite|citation|vcite|harv\w*|sfn\w*|efn\w*|refn?|cref\w*|rp|r|notelist|reflist|references|notetag|note|isbn"
    r"|issn|oclc|doi|webarchive|cbignore|bare url|subscription required|in lang|infobox|ipac?|pron\w*|respell|zh|ko|pp"
    r"|use|other uses|redirect|distinguish|expand|unreferenced|refimprove|more|verify|update|merge|split|move|dab"
    r"|disambig|missing|commons|rotten|imdb|track|tracklist|toc|portal|spoiler|rating|flagicon|inflation|#tag|defaultsort|displaytitle)"
    r"(?:[\s:-].*)?"
    r"|cn|fact|who|whom|by whom|according to whom|when|where|which|why|how|or|clarify|vague|dubious|disputed|fv|failed"
    r" verification|pov|tone|weasel|peacock|specify|explain|plot|no plot|long plot|overly detailed|in-universe|main"
    r"|see|see also|further|about|for|for multi|details|selfref|dn|dl|clear|-|anchor|coord|listen|audio|multiple issues"
    r"|italic title|official website|authority control|refbegin|refend|shy|citeweb|dablink|engvarb|hidden"
    r"|(?:.*[\s-])?(?:needed|end|inline|sources?|citations?|section|article|cleanup|copy ?edit|stub|navbox|sidebar|box"
    r"|chart|images?|icon|gallery|anchors?|disambiguation|english|dates|description|protection|note|hatnote|listing"
    r"|chronology|top|bottom|begin|break|dead ?link|title|verified)"
)
UNITS = ("ft", "in", "m", "cm", "km", "mi", "yd", "kg", "g", "lb", "oz", "st")
CROWNED = {"c": "crore", "l": "lakh", "m": "million", "b": "billion"}
DIGITS = re.compile(r"(?<![\d.,])\d{4,}")

_counts: ContextVar[Counter[tuple[str, str]] | None] = ContextVar("templates", default=None)


@contextmanager
def counted() -> Iterator[Counter[tuple[str, str]]]:
    """Count the templates that no table knows: ("kept", name) and ("lost", name)."""
    counts: Counter[tuple[str, str]] = Counter()
    token = _counts.set(counts)
    try:
        yield counts
    finally:
        _counts.reset(token)


def is_hidden(name: str) -> bool:
    """Whether a template of this name (in lower case) shows nothing that belongs to the prose around it."""
    return name not in RENDERED and name not in SEEN and HIDDEN.fullmatch(name) is not None


def shown(name: str, values: Arguments, in_line: bool) -> str:
    """What a reader sees of a template.

    Args:
        name: in lower case, blanks single; of a parser function with what stands behind its colon.
        values: the rendered arguments; unnamed ones by their number.
        in_line: whether text stands beside it in its line.
    """
    function, colon, first = name.partition(":")
    if colon and (render := FUNCTIONS.get(function.strip())):
        return render(first.strip(), [value for key, value in values.items() if key.isdecimal()])
    if name in RENDERED:
        return RENDERED[name](values)
    if pattern := SEEN.get(name) or ("{1|text}" if name.startswith("lang-") else ""):
        return ARGUMENT.sub(lambda match: _first(values, match[1]), pattern)
    return _guessed(name, values, in_line)


def _guessed(name: str, values: Arguments, in_line: bool) -> str:
    text = _first(values, "1|text") or " ".join(f"{values[unit]} {unit}" for unit in UNITS if values.get(unit))
    if name.startswith("#") or "://" in text or "=" in text:
        text = ""
    prose = len(text.split()) >= PROSE_WORDS
    visible = text if in_line or prose else ""
    if (counts := _counts.get()) is not None and (in_line or values):
        counts["kept" if visible else "lost", name.partition(":")[0]] += 1
    return visible if in_line else f"\n\n{visible}\n\n"


def _first(values: Arguments, names: str) -> str:
    return next(filter(None, map(values.get, names.split("|"))), "")


def _positional(values: Arguments) -> list[str]:
    return [value for key, value in values.items() if key.isdecimal() and value]


def _list(values: Arguments) -> str:
    return "\n\n".join(["", *_positional(values), ""])


def _measure(values: Arguments) -> str:
    """{{convert|6|ft|2|in|m}} as "6 ft 2 in", {{convert|10|to|20|km|mi}} as "10 to 20 km"."""
    words = _positional(values)
    return " ".join(words[:4] if len(words) > 3 and words[2][0].isdigit() else words[:2])


def _fraction(values: Arguments) -> str:
    words = _positional(values)
    return " ".join([*words[:-2], "/".join(words[-2:])])


def _number(text: str) -> str:
    """A number with commas between thousands: 6000 as 6,000."""
    return DIGITS.sub(lambda match: f"{int(match[0]):,}" if match[0][0] != "0" else match[0], text)


def _value(values: Arguments) -> str:
    """{{val|6000|fmt=commas|u=km}} as "6,000 km"."""
    number = values.get("1", "")
    return f"{number if values.get('fmt') == 'none' else _number(number)} {_first(values, 'u|ul|up|upl')}".strip()


def _rupees(values: Arguments) -> str:
    unit = values.get("2", "")
    return f"₹{values.get('1', '')} {CROWNED.get(unit, unit)}".strip()


RENDERED: dict[str, Callable[[Arguments], str]] = {
    "as of": lambda values: f"{'as' if values.get('lc') else 'As'} of {values.get('1', '')}",
    **dict.fromkeys(("convert", "cvt"), _measure),
    **dict.fromkeys(("frac", "fraction", "sfrac"), _fraction),
    **dict.fromkeys(("ubl", "ublist", "unbulleted list", "bulleted list", "hlist"), _list),
    **dict.fromkeys(("val", "nts", "number", "formatnum", "format number", "formatprice", "format price"), _value),
    "gaps": lambda values: "".join(_positional(values)),
    "inrconvert": _rupees,
}
# Of a parser function: what stands behind the colon, and its further arguments.
FUNCTIONS: dict[str, Callable[[str, list[str]], str]] = {
    "formatnum": lambda text, rest: text.replace(",", "") if rest[:1] == ["R"] else _number(text),
    "lc": lambda text, _: text.lower(),
    "uc": lambda text, _: text.upper(),
    "lcfirst": lambda text, _: text[:1].lower() + text[1:],
    "ucfirst": lambda text, _: text[:1].upper() + text[1:],
    "plural": lambda text, rest: (rest or [""])[0 if text == "1" else -1],
    "#if": lambda text, rest: "".join(rest[:1] if text else rest[1:2]),
    "#ifeq": lambda text, rest: "".join(rest[1:2] if rest[:1] == [text] else rest[2:3]),
    "#iferror": lambda text, _: text,
}
