"""Wikitext as its reader sees it: clean paragraphs, resolved by mwparserfromhell."""

import html
import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, Node, Tag, Template, Wikilink
from mwparserfromhell.parser import ParserError
from mwparserfromhell.wikicode import Wikicode

MAX_SECTION = 100_000
MAX_PASSES = 10
MAX_UNCLOSED = 50
MAX_MARKS = 500  # of a kind in a section; marks that cross one another take cubic time

# No group here is possessive or atomic: before Python 3.11.5 such groups match wrongly.
COMMENT = re.compile(r"(?<=\n)[ \t]*+<!--(?:[^-]++|-(?!->))*-->[ \t]*+\n|<!--.*?-->", re.DOTALL)
OPEN_COMMENT = re.compile(r"<!--[^\n]*")
NOWIKI = re.compile(r"<nowiki\s*+>((?:[^<]++|<(?!/?nowiki\b))*)</nowiki\s*+>|<nowiki\s*+/>", re.IGNORECASE)
MARKUP = re.compile(r"[^\w\s.,!?-]")
REF = re.compile(r"<ref(?=[\s/>])[^<>]*(?:(?<=/)>|>(?:[^<]++|<(?!/?ref\b))*</ref\s*+>)", re.IGNORECASE)
# What opens and what closes it.
PAIRS = {
    r"(?<!\[)\[(?!\[)": r"(?<!\])\](?!\])",
    r"\[\[": r"\]\]",
    r"\{\{": r"\}\}",
    r"(?m)^[ \t:*#]*\{\|[^\n]*": r"(?m)^[ \t:]*\|\}(?!\})",
}
TAG = re.compile(r"</?([a-z][a-z0-9]*)(?=[\s/>])[^<>]*>", re.IGNORECASE)
TAG_NAME = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
WORDLESS = ("ref", "references", "gallery", "math", "chem", "score", "timeline", "table", "imagemap", "style")
BLOCKS = ("p", "div", "blockquote", "center", "li", "ul", "ol", "dl", "dd", "dt", "poem", "tr", "td", "th", "hr")
SPACES = dict.fromkeys(BLOCKS, "\n\n") | {"br": " "}
UNSEEN_LINK = re.compile(r"\s*(?:file|image|category)\s*:", re.IGNORECASE)
LANGUAGE_LINK = re.compile(r"[a-z]{2,3}(?:-[a-z]+)?:\S")
QUOTES = re.compile(r"('{2,})")
ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
LIST_ITEM = re.compile(r"^[ \t]*[*#:;]+", re.MULTILINE)
# Of what was never closed: a file to the end of its line, a template's name, its arguments' names, a table's rows.
UNCLOSED = re.compile(
    r"\[\[\s*(?:file|image|category)\s*:[^\n]*|\{\{[^{}|\n]*|^[ \t:]*(?:\{\||\|)[^\n]*|\|[\w .-]{1,30}=[ \t]*[^\s|]*",
    re.IGNORECASE | re.MULTILINE,
)
LEFTOVER = re.compile(
    r"^[ \t]*(?:-{4,}|=[^\n]*=[ \t]*$|(?:file|image):[^\n]*)|__[A-Z]{3,}__|\[\[|\]\]|[{}]|<(?=[a-z/!])"
    r"|[\u200b\u200e\u200f\u2060\ufeff\xad]",
    re.IGNORECASE | re.MULTILINE,
)
BRACKET = re.compile(r"[\[\]{}<>]")
PARAGRAPH = re.compile(r"\n\s*\n")
TIDY = (
    (re.compile(r" ([,.])(?=[A-Z])"), r"\1 "),
    (re.compile(r" ([,;:!?]|\.(?![.\d]))"), r"\1"),
    (re.compile(r"(?<=\w)\( "), " ("),
    (re.compile(r"([(\[])[ ,;:]+"), r"\1"),
    (re.compile(r"(?<![ ,;:])[ ,;:]+([)\]])"), r"\1"),
    (re.compile(r" ?(?:\(\)|\[\])"), ""),
    (re.compile(r"^[\s*#:;,.)]*[*#:;,)][\s*#:;,)]*|'(?=')"), ""),
)


# What is seen of a template, and its names: {1|text} is the first of these arguments that is not empty. Signs are
# entities: these can neither be taken for markup nor join with marks beside them.
TEMPLATES = {
    "&#39;": "', -', '-",
    "&#39;s": "'s",
    '"': '", -", "-',
    '&#39;"': "'\", ' \"",
    '"&#39;': "\"', \" '",
    "&#124;": "!",
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
    "{2|text}": "lang, langx, color, colour",
    "{3|2}": "transliteration, transl, tlit",
    "{lt|1}": "ill, interlanguage link, illm, interlanguage link multi",
    "{1} {2}": "ship",
    "US${1}": "us$, usd",
    "£{1}": "gbp, £",
    "€{1}": "euro, €",
    "₹{1}": "inr, ₹",
    "¥{1}": "jpy, ¥",
}
SEEN = {name: seen for seen, names in TEMPLATES.items() for name in names.split(", ")}
SEEN |= {name.lower(): name + " {1}" for name in ("USS", "HMS", "RMS", "SS", "MS", "MV", "HMCS", "HMAS")}
ARGUMENT = re.compile(r"\{([\w|]+)\}")


@lru_cache(maxsize=1)
def visible(wikitext: str) -> str:
    """Wikitext without comments and footnotes; what <nowiki> protects becomes entities."""
    # Behind the last "-->" no comment ends: without their openings there no search runs to the end in vain.
    closed, end, rest = wikitext.replace("\r\n", "\n").rpartition("-->")
    text = COMMENT.sub("", closed + end + OPEN_COMMENT.sub("", rest))
    text = NOWIKI.sub(lambda match: MARKUP.sub(lambda sign: f"&#{ord(sign[0])};", match[1] or "\u200b"), text)
    for _ in range(4):
        text = REF.sub("", text)
    return text


def prose(wikitext: str) -> str:
    """Wikitext as a reader sees it: paragraphs without any markup, a blank line between two."""
    # What is taken away may bring marks together that were apart: only a text that stays as it is, is clean.
    for _ in range(MAX_PASSES):
        before, wikitext = wikitext, _reduced(wikitext)
        if wikitext == before:
            break
    return wikitext


@lru_cache(maxsize=8)
def parsed(wikitext: str) -> Wikicode:
    """The nodes of a section, of its first MAX_SECTION characters."""
    # To the parser a NUL is the end of the text.
    text = _closed(wikitext[:MAX_SECTION].replace("\0", ""))
    try:
        return mwparserfromhell.parse(text, skip_style_tags=True)
    except ParserError:
        return mwparserfromhell.parse(BRACKET.sub(" ", text), skip_style_tags=True)


def _closed(text: str) -> str:
    """Text without the marks of a kind that stands there or is left open too often: they take the parser minutes."""
    for opening, closing in PAIRS.items():
        openings = len(re.findall(opening, text))
        if openings > MAX_MARKS or openings - len(re.findall(closing, text)) > MAX_UNCLOSED:
            text = re.sub(closing, "", re.sub(opening, "", text))
    tags = [(name.lower(), bool(end)) for end, name in TAG_NAME.findall(text)]
    opened, closed = (Counter(name for name, end in tags if end == kind) for kind in (False, True))
    refused = {name for name, openings in opened.items() if openings > MAX_MARKS}
    refused |= (opened - closed).keys() if (opened - closed).total() > MAX_UNCLOSED else set()
    if refused:
        text = re.sub(rf"</?({'|'.join(sorted(refused))})\b(?:[^<>]*>)?", _space, text, flags=re.IGNORECASE)
    return text


def _reduced(wikitext: str) -> str:
    text = TAG.sub(_space, _text(parsed(wikitext)))
    text = UNCLOSED.sub("", "\n".join(map(_without_quotes, LIST_ITEM.sub("\n\n", text).split("\n"))))
    for _ in range(3):
        text = ENTITY.sub(lambda match: html.unescape(match[0]), text)
    text = LEFTOVER.sub("", TAG.sub(_space, text)).replace("|", " ")
    paragraphs = (_tidy(" ".join(paragraph.split())) for paragraph in PARAGRAPH.split(text))
    return "\n\n".join(paragraph for paragraph in paragraphs if any(map(str.isalnum, paragraph)))


def _tidy(paragraph: str) -> str:
    for pattern, replacement in TIDY:
        paragraph = pattern.sub(replacement, paragraph)
    return paragraph.strip()


def _space(match: re.Match[str]) -> str:
    return SPACES.get(match[1].lower(), "")


def _text(code: Wikicode | None) -> str:
    return "" if code is None else "".join(map(_seen, code.nodes))


def _seen(node: Node) -> str:
    match node:
        case Template():
            seen = _template(node)
        case Wikilink():
            seen = _link(node)
        case ExternalLink() if node.brackets or "//" in node.url:
            seen = _text(node.title)
        case Tag():
            seen = _tag(node)
        case _:
            seen = "\n" if isinstance(node, Heading) else str(node)
    return seen


def _link(link: Wikilink) -> str:
    title = _text(link.title).strip()
    text = _text(link.text)
    if UNSEEN_LINK.match(title) or (not text.strip() and LANGUAGE_LINK.match(title)):
        return ""
    page, _, section = title.lstrip(":").partition("#")
    return text if text.strip() else page.replace("_", " ") or section


def _tag(tag: Tag) -> str:
    name = str(tag.tag).strip().lower()
    if name in WORDLESS:
        return ""
    space = SPACES.get(name, "")
    return str(tag.wiki_markup or space + _text(tag.contents) + space)


def _template(template: Template) -> str:
    name = " ".join(str(template.name).replace("_", " ").lower().removeprefix("template:").split())
    pattern = SEEN.get(name) or ("{1|text}" if name.startswith("lang-") else "")
    if not pattern and name not in RENDERED:
        return ""
    values = {str(value.name).strip(): _text(value.value).strip() for value in template.params}
    if name in RENDERED:
        return RENDERED[name](values)
    return ARGUMENT.sub(lambda match: next(filter(None, map(values.get, match[1].split("|"))), ""), pattern)


def _positional(values: dict[str, str]) -> list[str]:
    return [value for key, value in values.items() if key.isdecimal() and value]


def _list(values: dict[str, str]) -> str:
    return "\n\n".join(["", *_positional(values), ""])


def _measure(values: dict[str, str]) -> str:
    """{{convert|6|ft|2|in|m}} as "6 ft 2 in", {{convert|10|to|20|km|mi}} as "10 to 20 km"."""
    words = _positional(values)
    return " ".join(words[:4] if len(words) > 3 and words[2][0].isdigit() else words[:2])


def _fraction(values: dict[str, str]) -> str:
    words = _positional(values)
    return " ".join([*words[:-2], "/".join(words[-2:])])


RENDERED: dict[str, Callable[[dict[str, str]], str]] = {
    "as of": lambda values: f"{'as' if values.get('lc') else 'As'} of {values.get('1', '')}",
    **dict.fromkeys(("convert", "cvt"), _measure),
    **dict.fromkeys(("frac", "fraction", "sfrac"), _fraction),
    **dict.fromkeys(("ubl", "ublist", "unbulleted list", "bulleted list", "hlist"), _list),
}


def _without_quotes(line: str) -> str:
    """A line without the marks of bold and italic, apostrophes kept, by MediaWiki's own rule for odd ones."""
    if "''" not in line:
        return line
    pieces = QUOTES.split(line)
    runs = [len(mark) for mark in pieces[1::2]]
    kept = ["'" * (1 if run == 4 else max(run - 5, 0)) for run in runs]
    bold = [place for place, run in enumerate(runs) if run in (3, 4)]
    if bold and sum(run == 2 or run >= 5 for run in runs) % 2 and sum(run != 2 for run in runs) % 2:
        kept[min(bold, key=lambda place: _rarity(pieces[2 * place]))] += "'"
    return "".join(piece + mark for piece, mark in zip(pieces[::2], [*kept, ""], strict=True))


def _rarity(before: str) -> int:
    """How rarely a bold mark is an apostrophe and an italic mark: after one letter, after a word, after a space."""
    return 2 if before.endswith(" ") else 0 if before[-2:-1] == " " else 1
