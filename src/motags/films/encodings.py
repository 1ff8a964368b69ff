"""Which encoding the text of a file is in: by its mark, by trying UTF-8 on all of it, or by the letters it would show.

Statistical detectors were tried on rows such as "Señorita Años" in cp1252: they say cp1250, which shows other letters.
So the 8-bit encoding of western Europe is taken where its letters make words of one of its languages, and no other.
"""

import codecs
import re
from typing import IO

from motags.errors import MotagsError

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WESTERN = "cp1252"
ALPHABETS = [  # letters beyond ASCII: German, French, Spanish, Portuguese, Italian, Danish and Norwegian, Swedish
    "äöüß", "àâçéèêëîïôœùûü", "áéíñóúü", "áâãàçéêíóôõú", "àéèìòù", "æøåé", "åäöé",
]  # fmt: skip
WORD = re.compile(r"[^\s\x00-\x26\x28-\x40\x5b-\x60\x7b-\x7f]+")  # letters, apostrophes and all beyond ASCII
SIGNS = re.compile("[\u2018\u2019\u201c\u201d\u201e\u201a\u2013\u2014\u2026\u2022\u2122\u20ac\xa0¡¿«»°º·®©£§'a-zA-Z]")
LEAST_SURE = 0.9  # share of the words beyond ASCII that have to be western
BLOCK = 2**20
MOST_LINES = 2000  # that words are looked at in


def encoding_of(file: IO[bytes], name: str) -> tuple[str, str]:
    """The encoding of a file from its beginning, and a word that showed it where it is neither marked nor UTF-8.

    A file that holds lines in UTF-8 beside others is UTF-8 with damaged lines.

    Raises:
        MotagsError: it is not text, or its encoding can't be told.
    """
    head = file.read(4096)
    for mark, encoding in MARKS.items():
        if head.startswith(mark) and not (mark == codecs.BOM_UTF16_LE and head.startswith(codecs.BOM_UTF32_LE)):
            return encoding, ""
    if b"\0" in head:
        return _wide(head, name), ""
    file.seek(0)
    line, odd_lines = _lines_without_utf8(file)
    return _western(line, odd_lines, name) if odd_lines else ("utf-8", "")


def _wide(head: bytes, name: str) -> str:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 0.4 * len(head) / 2 and not even:
        return "utf-16-le"
    if even > 0.4 * len(head) / 2 and not odd:
        return "utf-16-be"
    raise MotagsError(f"{name} holds zero bytes: it is no text; save it as CSV UTF-8 or JSON Lines")


def _lines_without_utf8(file: IO[bytes]) -> tuple[int, list[bytes]]:
    """The number of the first line that is no UTF-8, and all such lines; none where others show that it is UTF-8."""
    odd: list[bytes] = []
    first = before = 0
    while block := file.read(BLOCK) + file.readline(BLOCK):
        if not block.isascii():
            try:
                block.decode()
                return 0, []  # letters of more bytes in a megabyte of them are no chance
            except UnicodeDecodeError:
                pass
            for number, line in enumerate(block.split(b"\n"), start=before + 1):
                if line.isascii():
                    continue
                try:
                    line.decode()
                    return 0, []
                except UnicodeDecodeError:
                    first = first or number
                    odd += [line] if len(odd) < MOST_LINES else []
        before += block.count(b"\n")
    return first, odd


def _western(line: int, odd_lines: list[bytes], name: str) -> tuple[str, str]:
    text = b"\n".join(odd_lines).decode(WESTERN, "replace")
    words = [word for word in WORD.findall(text) if not word.isascii()]
    western = sum(is_western(word) for word in words)
    if western and western >= LEAST_SURE * len(words):
        return WESTERN, f"{next(filter(is_western, words))!r} in line {line}"
    raise MotagsError(
        f"{name}, line {line}: this is not UTF-8, and in which encoding it is can't be told: save the file as UTF-8, "
        "or say its encoding by --encoding (crawl.encoding), such as cp1250 (Central Europe), cp1251 (Cyrillic), "
        "cp1254 (Turkish), shift_jis or gb18030"
    )


def is_western(word: str) -> bool:
    """Whether the letters of a word beyond ASCII are those of one western European language."""
    odd = set(SIGNS.sub("", word).lower())
    return any(odd.issubset(alphabet) for alphabet in ALPHABETS)


def known_encoding(encoding: str) -> str:
    """The encoding that a user named. Raises MotagsError where there is none of that name."""
    try:
        if codecs.lookup(encoding)._is_text_encoding:  # as open() asks
            return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    except (LookupError, ValueError):
        pass
    raise MotagsError(f"--encoding {encoding} (crawl.encoding): there is no such encoding; try cp1252 or utf-16")
