"""What posters and trailers look like: vectors of an image encoder on onnxruntime, kept by content.

A stage reads them in three lines:

    films = film_pictures(facts)
    vectors = vectors_of_catalogue(films, folder, store, trailer_frames, threads)
    write_vectors(out, vectors, films_digest(facts["id"]))
"""

import hashlib
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from motags.artifacts import checked, read_arrays, sealing, write_arrays
from motags.errors import MotagsError
from motags.evidence.onnx_encoder import session_of
from motags.evidence.picture_files import (
    MAX_VIDEO_BYTES,
    PictureInput,
    Unseen,
    decoded_picture,
    frames,
    opened,
    picture_bytes,
    read_picture,
    require_media,
)
from motags.films.text import Entry
from motags.machine import cores
from motags.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

GRAPH, CONFIG = "encoder.onnx", "config.json"
READING = 1  # of this code's way to read pictures: what an older one has kept is not used
CHUNK = 256  # files a time: Ctrl-C waits for no more
KEPT_EVERY = 300.0  # seconds between writes of the store in a long run

log = logging.getLogger(__name__)


class ImageEncoder:
    """A frozen image encoder. It reads one picture at a time on each core, so no vector feels its neighbours.

    Args:
        folder: as `image_encoder.save` wrote it; threads: 0 for as many as there are cores.

    Raises:
        MotagsError: the folder is missing or damaged, or Pillow or PyAV is not installed.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        require_media()
        config = (checked(folder) / CONFIG).read_text(encoding="utf-8")
        about = json.loads(config)
        self.name, self.d = str(about["name"]), int(about["d"])
        self.takes = PictureInput(about["size"], tuple(about["mean"]), tuple(about["std"]))
        self.digest = hashlib.sha256(f"{READING}\n{config}".encode()).hexdigest()  # of all that makes a vector
        self.threads = threads or cores()
        self._session = session_of(folder / GRAPH)

    def encode(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """Vectors (m, d) float32 of m pictures (3, size, size) float32, as `read_picture` and `frames` give them."""
        with ThreadPoolExecutor(self.threads) as pool:
            return self._stacked(pool.map(self._vector, pictures))

    def poster_vector(self, path: Path) -> np.ndarray:
        """The vector (d,) float32 of a picture's file. Raises Unseen, like `read_picture`."""
        return self._vector(read_picture(path, self.takes))

    def picture_vector(self, data: bytes) -> np.ndarray:
        """The vector (d,) float32 of the bytes of a picture's file. Raises Unseen, like `read_picture`."""
        return self._vector(decoded_picture(data, self.takes))

    def trailer_vector(self, path: Path, count: int) -> np.ndarray:
        """The mean vector (d,) float32 of `count` frames of a trailer. Raises Unseen, like `frames`."""
        return self._stacked(map(self._vector, frames(path, count, self.takes))).mean(0)

    def _vector(self, picture: np.ndarray) -> np.ndarray:
        return self._session.run(None, {"picture": picture[None]})[0][0]

    def _stacked(self, vectors: Iterable[np.ndarray]) -> np.ndarray:
        return np.array(list(vectors), dtype=np.float32).reshape(-1, self.d)


class PictureStore:
    """Vectors of one encoder by the sha256 of what they were made from, in one sealed file: the same bytes each time.

    The file holds `hashes` (m, 32) uint8 in their order and `vectors` (m, d) float32; its metadata name the encoder.
    What another encoder has written is not used, and replaced by the next `write`.

    Raises:
        MotagsError: the file is damaged.
    """

    def __init__(self, path: Path, encoder: ImageEncoder) -> None:
        self.path, self._encoder = path, encoder
        self._vectors: dict[bytes, np.ndarray] = {}
        if path.exists():
            with safe_open(checked(path), framework="numpy") as file:
                if (file.metadata() or {}).get("encoder") == encoder.digest:
                    hashes, vectors = file.get_tensor("hashes"), file.get_tensor("vectors")
                    self._vectors = {row.tobytes(): vector for row, vector in zip(hashes, vectors, strict=True)}
                else:
                    log.info("%s is of another encoder: all pictures are encoded again", path)

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, digest: bytes) -> np.ndarray:
        return self._vectors[digest]

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._vectors

    def put(self, digest: bytes, vector: np.ndarray) -> None:
        """Keep a vector (d,) float32 until the next `write`."""
        self._vectors[digest] = vector

    def write(self) -> None:
        """Write and seal all vectors."""
        hashes = sorted(self._vectors)
        arrays: dict[str, np.ndarray] = {
            "hashes": np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, 32),
            "vectors": np.array([self._vectors[one] for one in hashes], np.float32).reshape(-1, self._encoder.d),
        }
        with sealing(self.path) as temporary:
            save_file(arrays, temporary, metadata={"encoder": self._encoder.digest})


def vectors_of(
    paths: Iterable[Path], encoder: ImageEncoder, store: PictureStore, trailer_frames: int = 0
) -> tuple[dict[Path, np.ndarray], dict[Path, str]]:
    """Vectors (d,) float32 of posters, or of trailers at `trailer_frames` frames each; the store knows most of them.

    What is new is put into the store, which is written from time to time and at the end.

    Returns:
        The vectors by path, and the reasons of the paths that have none.
    """
    kind = "trailers" if trailer_frames else "posters"
    distinct = list(dict.fromkeys(paths))
    vector_of: Callable[[Path], tuple[bytes, np.ndarray] | Unseen]
    vector_of = partial(_vector, encoder=encoder, store=store, trailer_frames=trailer_frames)
    vectors: dict[Path, np.ndarray] = {}
    reasons: dict[Path, str] = {}
    before, written = len(store), time.monotonic()
    with Progress(kind, len(distinct), kind) as progress, ThreadPoolExecutor(encoder.threads) as pool:
        for start in range(0, len(distinct), CHUNK):
            chunk = distinct[start : start + CHUNK]
            for path, answer in zip(chunk, pool.map(vector_of, chunk), strict=True):
                if isinstance(answer, Unseen):
                    reasons[path] = answer.reason
                else:
                    vectors[path] = answer[1]
                    store.put(*answer)
                progress.update()
            if time.monotonic() - written > KEPT_EVERY:
                store.write()
                written = time.monotonic()
    store.write()
    without = "".join(f", {count:,} {reason}" for reason, count in sorted(Counter(reasons.values()).items()))
    log.info("%s: %d of %d, %d of them new%s", kind, len(vectors), len(distinct), len(store) - before, without)
    return vectors, reasons


def _vector(
    path: Path, *, encoder: ImageEncoder, store: PictureStore, trailer_frames: int
) -> tuple[bytes, np.ndarray] | Unseen:
    """The digest and the vector of a file."""
    try:
        if trailer_frames:
            digest = _trailer_digest(path, trailer_frames)
            return digest, store[digest] if digest in store else encoder.trailer_vector(path, trailer_frames)
        data = picture_bytes(path)
        digest = hashlib.sha256(data).digest()
        return digest, store[digest] if digest in store else encoder.picture_vector(data)
    except Unseen as unseen:
        return unseen


def _trailer_digest(path: Path, trailer_frames: int) -> bytes:
    """The digest of a trailer's bytes and of how many frames of it are read."""
    digest = hashlib.sha256(f"trailer at {trailer_frames} frames\n".encode())
    with opened(path, MAX_VIDEO_BYTES) as file:
        try:
            while block := file.read(2**20):
                digest.update(block)
        except OSError:
            raise Unseen("can't be opened") from None
    return digest.digest()


@dataclass(frozen=True)
class FilmPictures:
    """The files of a film's pictures."""

    id: str
    poster: Path | None = None
    trailer: Path | None = None


def film_pictures(facts: "pd.DataFrame") -> list[FilmPictures]:
    """The files of films, by their facts (see `dataset.facts.facts_frame`)."""
    posters, trailers = (
        [Path(path) if isinstance(path, str) else None for path in facts[kind]] for kind in ("poster", "trailer")
    )
    return [FilmPictures(*film) for film in zip(facts["id"], posters, trailers, strict=True)]


@dataclass(frozen=True)
class SeenFilms:
    """Vectors (d,) float32 of posters and of trailers by film id, and how many films have none, by reason."""

    posters: dict[str, np.ndarray]
    trailers: dict[str, np.ndarray]
    reasons: dict[str, dict[str, int]]


def vectors_of_films(
    films: Sequence[FilmPictures], encoder: ImageEncoder, store: PictureStore, trailer_frames: int
) -> SeenFilms:
    """What the posters and trailers of films look like; films that name no file count as such among the reasons."""
    poster_paths = {film.id: film.poster for film in films if film.poster is not None}
    trailer_paths = {film.id: film.trailer for film in films if film.trailer is not None}
    posters, unseen_posters = vectors_of(poster_paths.values(), encoder, store)
    trailers, unseen_trailers = vectors_of(trailer_paths.values(), encoder, store, trailer_frames)
    return SeenFilms(
        {name: posters[path] for name, path in poster_paths.items() if path in posters},
        {name: trailers[path] for name, path in trailer_paths.items() if path in trailers},
        {
            kind: {"none named": len(films) - len(paths)} | Counter(why[path] for path in paths.values() if path in why)
            for kind, paths, why in (
                ("posters", poster_paths, unseen_posters), ("trailers", trailer_paths, unseen_trailers)
            )
        },
    )  # fmt: skip


def vectors_of_catalogue(
    films: Sequence[FilmPictures], folder: Path, store: Path, trailer_frames: int, threads: int
) -> SeenFilms:
    """The same by the encoder in a folder, with the store at a path; neither is needed where no film names a file.

    Raises:
        MotagsError: the encoder or the store is damaged, or Pillow or PyAV is not installed.
    """
    if not any(film.poster or film.trailer for film in films):
        return SeenFilms({}, {}, {kind: {"none named": len(films)} for kind in ("posters", "trailers")})
    encoder = ImageEncoder(folder, threads)
    return vectors_of_films(films, encoder, PictureStore(store, encoder), trailer_frames)


def picture_counts(seen: SeenFilms) -> dict[str, object]:
    """How many films have a vector of their poster and trailer, and how many have none, by reason in snake_case."""
    unseen = {kind: {_key(reason): n for reason, n in reasons.items()} for kind, reasons in seen.reasons.items()}
    return {"posters": len(seen.posters), "trailers": len(seen.trailers), "unseen": unseen}


def _key(reason: str) -> str:
    return re.sub(r"\W+", "_", reason.lower().replace("'", ""))


def films_digest(ids: Iterable[str]) -> str:
    """Identifies the films that vectors were made for, whatever their texts and tags."""
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()[:16]


def write_vectors(path: Path, seen: SeenFilms, corpus: str) -> None:
    """Write and seal the vectors of films with `films_digest` `corpus`; the reasons are for the metrics."""
    arrays: dict[str, np.ndarray] = {}
    for kind, vectors in (("posters", seen.posters), ("trailers", seen.trailers)):
        d = len(next(iter(vectors.values()), ()))
        arrays[kind] = np.array(list(vectors.values()), dtype=np.float32).reshape(len(vectors), d)
        arrays[f"{kind}_ids"] = np.frombuffer(json.dumps(list(vectors)).encode(), dtype=np.uint8)
    write_arrays(path, arrays, corpus)


def read_vectors(path: Path, corpus: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Vectors (d,) float32 of posters and of trailers by film id, as `write_vectors` wrote them.

    Raises:
        MotagsError: missing, damaged, or made from other films.
    """
    arrays = read_arrays(path, corpus)
    posters, trailers = (_by_id(path, arrays, kind) for kind in ("posters", "trailers"))
    return posters, trailers


def _by_id(path: Path, arrays: dict[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    if kind not in arrays:
        raise MotagsError(f"{path} holds no vectors of {kind}: run `dvc repro --force`")
    ids = json.loads(arrays[f"{kind}_ids"].tobytes())
    return dict(zip(ids, arrays[kind], strict=True))


def with_pictures(
    entries: Sequence[Entry], posters: Mapping[str, np.ndarray], trailers: Mapping[str, np.ndarray]
) -> list[Entry]:
    """The films with the vectors (d,) float32 of their posters and trailers, by id, beside those that they have."""
    kinds = {"poster": posters, "trailer": trailers}
    return [
        film.with_vectors({name: own[film.id] for name, own in kinds.items() if film.id in own}) for film in entries
    ]
