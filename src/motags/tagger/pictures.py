"""Posters and trailers of films as a model looks at them when it tags."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from motags.evidence.picture_files import Unseen
from motags.evidence.pictures import ImageEncoder
from motags.films.text import Entry

FOLDER = "images"  # of the image encoder, in a model's folder

log = logging.getLogger(__name__)


class Pictures:
    """The image encoder that a model has learned with.

    Args:
        folder: of the encoder; kinds: "poster", "trailer" or both; trailer_frames: pictures taken of a trailer.
        threads: 0 for as many as there are cores.

    Attributes:
        unseen: how many pictures could not be read, by kind and reason.

    Raises:
        MotagsError: the folder is damaged, or Pillow or PyAV is not installed.
    """

    def __init__(self, folder: Path, kinds: Collection[str], trailer_frames: int, threads: int = 0) -> None:
        self.folder, self.kinds, self.trailer_frames = folder, kinds, trailer_frames
        self.encoder = ImageEncoder(folder, threads)
        self.unseen: Counter[tuple[str, str]] = Counter()

    def seen(self, films: Sequence[Entry]) -> list[Entry]:
        """The films, each with vectors of the poster and trailer that it names, where these can be read."""
        with ThreadPoolExecutor(self.encoder.threads) as pool:
            return list(pool.map(self._seen, films))

    def _seen(self, film: Entry) -> Entry:
        vectors: dict[str, np.ndarray] = {}
        for kind in self.kinds:
            path = film.poster if kind == "poster" else film.trailer
            if path and kind not in film.vectors:
                try:
                    vectors[kind] = self._vector(kind, Path(path))
                except Unseen as unseen:
                    self.unseen[kind, unseen.reason] += 1
                    log.debug("%s of film %s: %s", kind, film.id, unseen.reason)
        return film.with_vectors(vectors)

    def _vector(self, kind: str, path: Path) -> np.ndarray:
        if kind == "poster":
            return self.encoder.poster_vector(path)
        return self.encoder.trailer_vector(path, self.trailer_frames)

    def said(self) -> str:
        """What could not be read, for the user; "" where all could."""
        parts = [f"{count:,} {kind}s: {reason}" for (kind, reason), count in sorted(self.unseen.items())]
        return f"pictures left out: {', '.join(parts)}" if parts else ""
