"""JSON as catalogues have it, object by object: one a line, over several lines, or in one list."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import IO, Any

from motags.films.values import SURROGATE, Unreadable

MOST_LETTERS = 2**24  # of a line or an object: what is longer is no film, and would fill the memory
PIECE = 2**16  # letters that are read at a time
FIRST_ROWS = 256  # rows whose keys show which columns there are

BLANK = "\ufeff \t\r\n"
LINES = re.compile(r"[^\n]*\n|[^\n]+")

Row = tuple[int, Any]


class DamagedError(ValueError):
    """Text from which on nothing can be read."""


class JsonFrame:
    """JSON Lines, objects over several lines, or one list; `names` are the keys of the first rows."""

    def __init__(self, file: IO[bytes], encoding: str, certain: bool = True) -> None:
        """Open it; an encoding that is not `certain` is given up at the first line that it does not fit."""
        self.noted: list[str] = []
        text = io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="\n")
        head = _first_line(text)
        if head.lstrip().startswith("["):
            self.noted.append("one list of JSON")
            found = _values(text, head, in_list=True)
        elif _goes_on(head):
            head += _until_whole(text, head)
            several = not _goes_on(head) and _is_json(head)
            self.noted += ["objects over several lines"] if several else []
            found = _values(text, head, in_list=False) if several else _lines(text, head, certain)
        else:
            found = _lines(text, head, certain)
        first = list(islice(found, FIRST_ROWS))
        self._rows = chain(first, found)
        self.names = list(dict.fromkeys(key for _, row in first if isinstance(row, dict) for key in row))

    def rows(self, names: list[str]) -> Iterator[Row]:  # noqa: ARG002, an object has what it has
        """See `Frame`."""
        return self._rows


def _first_line(text: IO[str]) -> str:
    """The text up to the end of the first line that is not blank."""
    lines = []
    while line := text.readline(MOST_LETTERS):
        lines.append(line)
        if line.strip(BLANK):
            break
    return "".join(lines)


def _goes_on(text: str) -> bool:
    """Whether a text is the beginning of an object whose end is missing."""
    start = _start(text)
    if text[start : start + 1] != "{":
        return False
    try:
        DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return error.pos >= len(text.rstrip())
    except (ValueError, RecursionError):
        pass
    return False


def _start(text: str) -> int:
    return len(text) - len(text.lstrip(BLANK))


def _is_json(text: str) -> bool:
    try:
        DECODER.raw_decode(text, _start(text))
    except (ValueError, RecursionError):
        return False
    return True


def _until_whole(text: IO[str], head: str) -> str:
    """The lines that an object goes on in, to its end or to where it can't be one."""
    lines = [head]
    size, tried = len(head), len(head)
    while size < MOST_LETTERS and (line := text.readline(MOST_LETTERS)):
        lines.append(line)
        size += len(line)
        if line.strip().startswith("}") or size > 2 * tried:
            tried = size
            if not _goes_on("".join(lines)):
                break
    return "".join(lines[1:])


def _lines(text: IO[str], head: str, certain: bool) -> Iterator[Row]:
    for number, line in _numbered(text, head):
        if line is None:
            yield number, Unreadable(f"not a line of JSON: longer than {MOST_LETTERS // 2**20} MiB")
        elif line.strip(BLANK):
            if not certain and not line.isascii():
                if SURROGATE.search(line):
                    raise DamagedError(f"line {number}: this is no UTF-8; give --encoding, such as cp1252")
                certain = True
            yield number, _object_of(line)


def _numbered(text: IO[str], head: str) -> Iterator[tuple[int, str | None]]:
    """Numbered lines; None stands for one that is too long, which is passed over without being kept."""
    for number, line in enumerate(chain(LINES.findall(head), iter(partial(text.readline, MOST_LETTERS), "")), start=1):
        part, too_long = line, False
        while len(part) >= MOST_LETTERS and not part.endswith("\n"):
            too_long, part = True, text.readline(MOST_LETTERS)
        yield number, None if too_long else line


def _object_of(line: str) -> Any:
    try:
        if not line.isascii() and SURROGATE.search(line):
            raise ValueError("not valid UTF-8: save the file as UTF-8")
        return _once(DECODER.decode(line.lstrip("\ufeff")))
    except (ValueError, RecursionError) as error:
        return Unreadable(f"not a line of JSON: {error}")


def _values(text: IO[str], head: str, in_list: bool) -> Iterator[Row]:
    """The values of a list, or one after another, with the lines that they begin in; damage ends it."""
    buffer = _Buffer(text, head)
    if in_list:
        buffer.skip("[")
    while buffer.peek() not in {"]", ""}:
        yield buffer.line, buffer.value()
        if in_list and not buffer.skip(","):
            break
    if in_list and not buffer.skip("]"):
        raise buffer.damaged("a comma or the end of the list is missing")
    if buffer.peek():
        raise buffer.damaged("something stands after the end of the list")


class _Buffer:
    """The text that is still to be read, and in which line it begins."""

    def __init__(self, text: IO[str], head: str) -> None:
        self._text, self._held, self._at, self.line = text, head, 0, 1

    def _more(self) -> bool:
        piece = self._text.read(max(PIECE, len(self._held) - self._at))  # twice as much each time
        self._held, self._at = self._held[self._at :] + piece, 0
        return bool(piece)

    def peek(self) -> str:
        """The next letter that is no blank, or "" at the end."""
        while True:
            rest = self._at
            while rest < len(self._held) and self._held[rest] in BLANK:
                self.line += self._held[rest] == "\n"
                rest += 1
            self._at = rest
            if rest < len(self._held) or not self._more():
                return self._held[self._at : self._at + 1]

    def skip(self, letter: str) -> bool:
        """Pass over a letter if it is the next."""
        found = self.peek() == letter
        self._at += found
        return found

    def value(self) -> Any:
        """The next value. Raises DamagedError where there is none."""
        while True:
            try:
                value, end = DECODER.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                if len(self._held) - self._at > MOST_LETTERS:
                    raise self.damaged(f"an object is longer than {MOST_LETTERS // 2**20} MiB") from None
                if not self._more():
                    raise self.damaged(error.msg) from None
            except (ValueError, RecursionError) as error:
                raise self.damaged(str(error)) from None
            else:
                if end == len(self._held) and self._more():
                    continue  # a number may go on
                self.line += self._held.count("\n", self._at, end)
                odd = SURROGATE.search(self._held, self._at, end)
                self._at = end
                return Unreadable("not valid UTF-8: save the file as UTF-8") if odd else _once(value)

    def damaged(self, why: str) -> DamagedError:
        """What can't be read, and where."""
        return DamagedError(f"line {self.line}: {why}; write it anew as a list of objects, or as an object a line")


class _Twice(dict[str, Any]):
    """An object that names a key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else _Twice(twice=_twice(pairs))


def _twice(pairs: list[tuple[str, Any]]) -> str:
    return next(name for name, count in Counter(key for key, _ in pairs).items() if count > 1)


def _once(value: Any) -> Any:
    is_twice = type(value) is _Twice
    return Unreadable(f"not a line of JSON: an object names {value['twice']!r} twice") if is_twice else value


DECODER = json.JSONDecoder(object_pairs_hook=_object)
