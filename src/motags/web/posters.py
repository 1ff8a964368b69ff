"""Posters as the page shows them: only files that the catalogue names, drawn anew, never the files themselves."""

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from motags.evidence.picture_files import Unseen, picture_bytes, small_jpeg

SIZE = 480  # px, the longer side: twice what the page shows, for screens with small pixels
DRAWING = 1  # of this code's way to draw posters: with another a browser asks for them again


@dataclass(frozen=True)
class Poster:
    """A poster's bytes as they lie in the file, and the name of the picture that is made of them."""

    data: bytes
    etag: str

    def jpeg(self) -> bytes:
        """The picture. Raises Unseen, like `small_jpeg`."""
        return small_jpeg(self.data, SIZE)


class Posters:
    """The posters of a catalogue, whose paths begin in the working folder.

    Args:
        folder: of the catalogue; no file outside of it is read, whatever the catalogue or a symbolic link says.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def may_show(self, film: sqlite3.Row) -> bool:
        """Whether a film seems to have a poster that can be shown; its file is not read."""
        try:
            return find_spec("PIL") is not None and self._path(film).is_file()
        except (Unseen, OSError):
            return False

    def poster(self, film: sqlite3.Row) -> Poster:
        """A film's poster. Raises Unseen where there is none, or its file can't be read or lies elsewhere."""
        data = picture_bytes(self._path(film))
        return Poster(data, f'"{hashlib.sha256(data).hexdigest()[:32]}-{SIZE}-{DRAWING}"')

    def _path(self, film: sqlite3.Row) -> Path:
        named = json.loads(film["record"]).get("poster")
        if not named:
            raise Unseen("the catalogue names none")
        try:
            path = Path(named).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):  # a circle of links is a RuntimeError
            raise Unseen("missing") from None
        if not path.is_relative_to(self._folder):
            raise Unseen("outside the catalogue's folder")
        return path
