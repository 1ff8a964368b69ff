"""Wikitext as its reader sees it: clean paragraphs, resolved by mwparserfromhell."""

import html
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, Node, Tag, Template, Text, Wikilink
from mwparserfromhell.parser import ParserError
from mwparserfromhell.wikicode import Wikicode

from motags.sources.templates import is_hidden, shown

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
    r"(?m)^[ \t:*#]*\{\|[^\n]*(?:\n[ \t]*![^\n]*)*": r"(?m)^[ \t:]*\|\}(?!\})",
}
TAG = re.compile(r"</?([a-z][a-z0-9]*)(?=[\s/>])[^<>]*>", re.IGNORECASE)
OPEN_CELL = re.compile(r"<th(?=[\s/>])[^<>]*>[^<>{}\n]*", re.IGNORECASE)  # a header that may never be closed
NAMESPACE = re.compile(r"^:?template *: *", re.IGNORECASE)
TAG_NAME = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
WORDLESS = ("ref", "references", "gallery", "math", "chem", "score", "timeline", "table", "th", "imagemap", "style")
BLOCKS = ("p", "div", "blockquote", "center", "li", "ul", "ol", "dl", "dd", "dt", "poem", "tr", "td", "th", "hr")
SPACES = dict.fromkeys(BLOCKS, "\n\n") | {"br": " "}
UNSEEN_LINK = re.compile(r"\s*(?:file|image|category)\s*:", re.IGNORECASE)
LANGUAGE_LINK = re.compile(r"[a-z]{2,3}(?:-[a-z]+)?:\S")
QUOTES = re.compile(r"('{2,})")
ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
LIST_ITEM = re.compile(r"^[ \t]*[*#:;]+", re.MULTILINE)
# Of what was never closed: a file to the end of its line, a template's name, its arguments' names, a table's rows.
UNCLOSED = re.compile(
    r"\[\[\s*(?:file|image|category)\s*:[^\n]*|\{\{[^{}|\n]*"
    r"|^(?:[ \t]*![^\n]*\n){0,50}[ \t:]*(?:\{\||\|)[^\n]*(?:\n[ \t]*![^\n]*)*|\|[\w .-]{1,30}=[ \t]*[^\s|]*",
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
    text = TAG.sub(_space, _section(parsed(OPEN_CELL.sub("", wikitext))))
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


def _section(code: Wikicode) -> str:
    """The text of a section, where templates stand among text or alone in their lines."""
    nodes = list(code.nodes)
    text_before, text_after = _beside(nodes, -1), reversed(_beside(nodes[::-1], 0))
    return "".join(
        _template(node, left or right) if isinstance(node, Template) else _seen(node)
        for node, left, right in zip(nodes, text_before, text_after, strict=True)
    )


def _beside(nodes: Sequence[Node], side: int) -> list[bool]:
    """Whether text stands before each node in its line, with side -1; with side 0 and the nodes reversed, after it."""
    flags, text = [], False
    for node in nodes:
        flags.append(text)
        if isinstance(node, Text):
            lines = str(node).split("\n")
            text = bool(lines[side].strip()) or (len(lines) == 1 and text)
        elif not isinstance(node, Template):
            text = not isinstance(node, Heading)
    return flags


def _text(code: Wikicode | None) -> str:
    return "" if code is None else "".join(map(_seen, code.nodes))


def _seen(node: Node) -> str:
    match node:
        case Template():
            text = _template(node)
        case Wikilink():
            text = _link(node)
        case ExternalLink() if node.brackets or "//" in node.url:
            text = _text(node.title)
        case Tag():
            text = _tag(node)
        case _:
            text = "\n" if isinstance(node, Heading) else str(node)
    return text


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


def _template(template: Template, in_line: bool = True) -> str:
    name = NAMESPACE.sub("", " ".join(_text(template.name).replace("_", " ").split()))
    function, colon, text = name.partition(":")
    name = function.lower() + colon + text
    if is_hidden(name):
        return ""
    values = {str(value.name).strip(): _text(value.value).strip() for value in template.params}
    return shown(name, values, in_line)


def _without_quotes(line: str) -> str:
    """A line without the marks of bold and italic, apostrophes kept, by MediaWiki's own rule for odd ones."""
    if "''" not in line:
        return line
    pieces = QUOTES.split(line)
    runs = [len(mark) for mark in pieces[1::2]]
    apostrophes = ["'" * (1 if run == 4 else max(run - 5, 0)) for run in runs]
    bold = [place for place, run in enumerate(runs) if run in (3, 4)]
    if bold and sum(run == 2 or run >= 5 for run in runs) % 2 and sum(run != 2 for run in runs) % 2:
        apostrophes[min(bold, key=lambda place: _rarity(pieces[2 * place]))] += "'"
    return "".join(piece + mark for piece, mark in zip(pieces[::2], [*apostrophes, ""], strict=True))


def _rarity(before: str) -> int:
    """How rarely a bold mark is an apostrophe and an italic mark: after one letter, after a word, after a space."""
    return 2 if before.endswith(" ") else 0 if before[-2:-1] == " " else 1
