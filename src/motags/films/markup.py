"""What a text shows where it is written in HTML, by the standard library's parser."""

import re
from html.parser import HTMLParser

INLINE = re.findall(
    r"\w+",
    "a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd mark nobr q s samp small span strike strong sub "
    "sup time tt u var wbr",
)
BLOCKS = re.findall(
    r"\w+",
    "address article aside blockquote body br caption center dd details div dl dt figcaption figure footer form h1 h2 "
    "h3 h4 h5 h6 head header hr html img li main nav ol p pre section summary table tbody td tfoot th thead tr ul",
)
HIDDEN = ["script", "style"]
ELEMENT = rf"/?(?:{'|'.join([*INLINE, *BLOCKS, *HIDDEN])})(?=[\s/>])|!--|!\[CDATA\[|!doctype\b"
TOKEN = re.compile(rf"<(?:{ELEMENT})|&#?\w{{1,31}};", re.IGNORECASE)
NO_ELEMENT = re.compile(rf"<(?!{ELEMENT})", re.IGNORECASE)  # "x < y", "<Neo>", "<3": no markup
NO_ENTITY = re.compile(r"&(?!#?\w{1,31};)")  # "AT&T"; html.unescape also takes "&copy" without its semicolon
MOST_ROUNDS = 3  # of a text that was escaped more than once


class _Shown(HTMLParser):
    """Collects what is shown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:  # not within a script
            self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if any(value is None for _, value in attrs):  # "if a <b and c> d"
            self.parts.append(self.get_starttag_text() or "")
        elif tag in BLOCKS:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in BLOCKS:
            self.parts.append(" ")

    def unknown_decl(self, data: str) -> None:
        self.parts.append(data.removeprefix("CDATA["))


def shown_text(text: str) -> str:
    """A text without the tags, comments and entities of HTML: "a <b>b</b> &amp; c" is "a b & c".

    Elements that break a line leave a blank. What was escaped twice is read twice, so that reading a text again changes
    nothing; what is no markup stays as it is.
    """
    for _ in range(MOST_ROUNDS):
        if not TOKEN.search(text):
            break
        parser = _Shown()
        parser.feed(NO_ELEMENT.sub("&lt;", NO_ENTITY.sub("&amp;", text)))
        parser.close()
        before, text = text, "".join(parser.parts)
        if before == text:
            break
    return text
