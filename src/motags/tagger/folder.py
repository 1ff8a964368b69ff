"""A model's folder: read, its parts checked against each other; nothing in it is run."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from safetensors import SafetensorError, safe_open

from motags.artifacts import SUMS, checked, sha256
from motags.errors import MotagsError
from motags.evidence.kinds import PICTURES, Encoder, restored
from motags.evidence.onnx_encoder import Backend, OnnxEncoder
from motags.films.text import TextRules
from motags.tagger.model import Manifest, Model
from motags.tagger.onnx_ranker import OnnxRanker
from motags.tagger.training_films import TrainingFilms

if TYPE_CHECKING:
    from motags.tagger.pictures import Pictures

FORMAT = 5

log = logging.getLogger(__name__)


def read(model: Model, folder: Path, backend: Backend, threads: int) -> Manifest:
    """Give a model what its folder holds, and return what the folder says of it; see `Tagger.load`."""
    if backend not in (backends := get_args(Backend)) or threads < 0:
        raise MotagsError(
            f"backend = {backend!r}, threads = {threads}: backends are {', '.join(backends)}, threads 0 or more"
        )
    about = read_manifest(folder)
    with _no_surprise(folder):
        tags = about["tags"]
        model.tags_, model.kinds_, model.descriptions_ = (
            [tag[key] for tag in tags] for key in ("tag", "kind", "description")
        )
        model.thresholds_ = np.array([tag["threshold"] for tag in tags], dtype=np.float32)
        model.text_rules_ = TextRules(**about["text"] | {"fields": tuple(about["text"]["fields"])})
        tensors(folder / "encoder.safetensors", model.tags_, values=False)
        model.encoder_ = _encoder(folder, backend, threads, about)
        model.ranker_ = OnnxRanker(folder)
        _read_evidence(model, folder, about["evidence"])
        model.pictures_ = _pictures(folder, about, threads)
        model.centroids_ = _centroids(folder, model.tags_, about["clusters"])
        _read_films(model, folder)
    model.version_ = version_of(folder)
    return about


def read_manifest(folder: Path) -> Manifest:
    """What the folder says of the model.

    Raises:
        MotagsError: the folder is missing or damaged, or of another format.
    """
    if not folder.is_dir():
        raise MotagsError(
            f"no model in {folder}: give the folder of one by --model, train one by `dvc repro`, or fetch one by "
            "`dvc artifacts get`"
        )
    about: Manifest = _json(checked(folder) / "tagger.json")
    if about.get("format") != FORMAT:
        raise MotagsError(
            f"{folder} has format {about.get('format')!r}, this motags reads {FORMAT}: make it again with `dvc repro`"
        )
    return about


def version_of(folder: Path) -> str:
    """Twelve hexadecimal digits that name what a sealed folder holds."""
    return sha256(folder / SUMS)[:12]


@contextmanager
def _no_surprise(folder: Path) -> Iterator[None]:
    """One sentence for parts that are missing, of another shape, or no model at all."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise MotagsError(f"{folder} can't be read as a model: {first}; fetch it again") from error


def _encoder(folder: Path, backend: Backend, threads: int, about: Manifest) -> Encoder:
    if backend != "torch":
        return OnnxEncoder(folder, backend, about["max_tokens"], threads)
    try:
        from motags.tagger.torch_backend import read_encoder  # noqa: PLC0415, the training stack only where it is asked for
    except ImportError as error:
        raise MotagsError(f"the backend torch needs {error.name}: pip install 'motags[train]'") from None
    return read_encoder(folder, about, threads)


def _read_evidence(model: Model, folder: Path, kinds: list[str]) -> None:
    arrays: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in kinds}
    for name, array in tensors(folder / "evidence.safetensors", model.tags_).items():
        kind, part = name.split("/")
        arrays[kind][part] = array
    vocabulary = _json(folder / "vocabulary.json")
    model.evidence_ = {kind: restored(kind, arrays[kind], vocabulary[kind]) for kind in kinds}


def _pictures(folder: Path, about: Manifest, threads: int) -> "Pictures | None":
    """What looks at posters and trailers, if the model has learned to; said once where that can't be done here."""
    if not (kinds := [kind for kind in PICTURES if kind in about["evidence"]]):
        return None
    from motags.evidence.picture_files import require_media  # noqa: PLC0415
    from motags.tagger.pictures import FOLDER, Pictures  # noqa: PLC0415, of a model that looks at pictures alone

    if not (folder / FOLDER).is_dir():  # it has learned from vectors that came with the films
        return None
    try:
        require_media()
    except MotagsError as error:
        log.warning("films are tagged without pictures: %s", error)
        return None
    return Pictures(folder / FOLDER, kinds, about["params"]["pictures"]["trailer_frames"], threads)


def _centroids(folder: Path, tags: list[str], k: int) -> np.ndarray:
    path = folder / "clusters.safetensors"
    found = tensors(path, tags)
    if odd := sorted(found.keys() ^ {str(cluster) for cluster in range(k)}):
        raise MotagsError(f"{path}: tagger.json names {k} clusters, and cluster {odd[0]} is only in one of them")
    return np.stack([found[str(cluster)] for cluster in range(k)])


def _read_films(model: Model, folder: Path) -> None:
    arrays, films = tensors(folder / "films.safetensors", model.tags_), _json(folder / "films.json")
    embeddings, out_of_fold = (arrays[name].astype(np.float32) for name in ("embeddings", "out_of_fold"))
    model.films_ = TrainingFilms(films["ids"], films["titles"], embeddings, arrays["Y"].astype(bool), out_of_fold)
    model.others_, model.support_ = films["others"], arrays["support"]


def tensors(path: Path, tags: list[str], *, values: bool = True) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file that was made for these tags.

    Raises:
        MotagsError: it is no safetensors file, or made for other tags or another order of them.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            made_for = json.loads((file.metadata() or {}).get("tags", "[]"))
            if made_for != tags:
                raise MotagsError(f"{path} {_difference(made_for, tags)}; take all files from one model")
            return {name: file.get_tensor(name) for name in file.keys()} if values else {}  # noqa: SIM118
    except SafetensorError as error:
        raise MotagsError(f"{path} is no safetensors file ({error}); it was not run, fetch the model again") from None


def _difference(made_for: list[str], tags: list[str]) -> str:
    if sorted(made_for) == sorted(tags):
        place = next(place for place, (one, other) in enumerate(zip(made_for, tags, strict=True)) if one != other)
        return f"has the tags in another order: tag {place} is {made_for[place]!r}, in tagger.json {tags[place]!r}"
    odd = sorted(set(made_for) ^ set(tags))
    return f"was made for other tags than tagger.json names: {', '.join(map(repr, odd[:3]))}"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MotagsError(f"{path} can't be read: {error}") from None
