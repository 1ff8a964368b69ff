"""Tagger: films in, tags with calibrated scores out. The method that we ship; loading it needs no training stack."""

import inspect
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from motags.errors import MotagsError
from motags.evidence.kinds import PICTURES
from motags.films.text import FIELDS, Entry, TextRules
from motags.tagger.checks import entries_of, labels_of, named
from motags.tagger.model import Model

if TYPE_CHECKING:
    from motags.evidence.onnx_encoder import Backend
    from motags.tagger.pictures import Pictures


class Tagger(Model):
    """A model that can be trained, saved and loaded. It follows scikit-learn's contract.

    Args:
        tagger, embedder, pictures: sections of params.yaml, as dictionaries or records; None for the defaults.
        random_state: seed of all that is drawn.

    Attributes: those of `Model`, and
        params_: the sections of parameters that it was trained with, by name; only after `fit`.
    """

    params_: dict[str, Any]

    def __init__(
        self, tagger: Any = None, embedder: Any = None, random_state: int = 42, pictures: Any = None
    ) -> None:  # fmt: skip
        self.tagger = tagger
        self.embedder = embedder
        self.random_state = random_state
        self.pictures = pictures

    def fit(
        self, films: Any, Y: Any, *, tags: Sequence[str] | None = None,
        descriptions: Mapping[str, str] | None = None, kinds: Mapping[str, str] | None = None,
        ids: Sequence[str] | None = None, titles: Sequence[str] | None = None, encoder: Any = None,
        text_rules: TextRules | None = None, image_encoder: Path | str | None = None,
    ) -> Self:  # fmt: skip
        """Learn from n films and their tags; needs `motags[train]`.

        Args:
            films: texts, or films as dictionaries or a pandas table with the columns of a catalogue; see `entries_of`.
            Y: n lists of tags, or (n, t) bool with the names in `tags` (if not given, the columns' names of a pandas
                table, else their numbers).
            descriptions, kinds: a sentence about a tag, and its kind, where there is one.
            ids, titles: of the films, ids as text; if not given, the films' own, else their numbers and "".
            encoder: a SentenceTransformer to start from; if not given, the one that `embedder.model` names.
            text_rules: what of a film's texts is read; if not given, title, tagline and text, of bare texts
                these alone.
            image_encoder: folder of the one that looks at posters and trailers, as the stage `image_encoder` makes it;
                without it they are left out.

        Raises:
            MotagsError: the films are too few or too alike to learn from, one can't be read, or there are no tags; the
                arguments don't fit each other; or a loss is not finite.
        """
        try:
            from motags.params import completed  # noqa: PLC0415
            from motags.tagger.training import SECTIONS, train  # noqa: PLC0415, what tags films needs no training stack
        except ImportError as error:
            raise MotagsError(f"training needs {error.name}: pip install 'motags[train]'") from None
        entries, (labels, names) = entries_of(films, text_rules or TextRules()), labels_of(Y, tags)
        columns: dict[str, Sized | None] = {"rows of tags": labels, "ids": ids, "titles": titles}
        for what, given in columns.items():
            if given is not None and len(given) != len(entries):
                raise MotagsError(f"{len(entries)} films have {len(given)} {what}: give one for each")
        if not (names and entries):
            raise MotagsError(f"there are no {'films to learn from' if names else 'tags to learn'}")
        self.params_ = completed(SECTIONS, {name: getattr(self, name) for name in SECTIONS})
        self.version_ = ""
        bare = all(film.title is None for film in entries)
        self.tags_, self.text_rules_ = names, text_rules or TextRules(fields=("text",) if bare else FIELDS)
        self.kinds_ = [(kinds or {}).get(tag, "") for tag in names]
        self.descriptions_ = [(descriptions or {}).get(tag, "") for tag in names]
        entries = named(entries, ids, titles)
        self.pictures_ = self._pictures(image_encoder, entries)
        train(self, self.params_, self.random_state, self.looked_at(entries), labels, encoder)
        return self

    def _pictures(self, image_encoder: Path | str | None, films: Sequence[Entry]) -> "Pictures | None":
        """What looks at the films' posters and trailers, if they have any and these are used."""
        used = [kind for kind in PICTURES if kind in self.params_["tagger"].evidence]
        present = {kind for film in films for kind in used if getattr(film, kind) or kind in film.vectors}
        if image_encoder is None or not present:
            return None
        from motags.tagger.pictures import Pictures  # noqa: PLC0415, needs Pillow and PyAV

        return Pictures(Path(image_encoder), sorted(present), self.params_["pictures"].trailer_frames)

    def save(self, folder: Path | str) -> None:
        """Write everything that tagging needs as a sealed folder: safetensors, ONNX and JSON; needs `motags[train]`.

        Raises:
            MotagsError: the tagger was not trained in this process, or the folder can't be written.
        """
        if not hasattr(self, "params_"):
            raise MotagsError("only a tagger that was trained here can be saved: copy the folder that this one is from")
        from motags.tagger.export import write  # noqa: PLC0415, what tags films needs no training stack

        write(self, Path(folder), self.params_, self.random_state)

    @classmethod
    def load(cls, folder: Path | str, backend: "Backend" = "int8", threads: int = 0) -> Self:
        """Read what `save` wrote, and nothing that runs.

        Args:
            backend: "int8" or "float32" on onnxruntime; "torch" on the training stack, on a GPU where there is one.
            threads: 0 for as many as there are cores. In the backend torch they are those of the whole process.

        Raises:
            MotagsError: the folder is missing, damaged, or its parts don't fit each other; or there is no such backend.
        """
        from motags.tagger.folder import read  # noqa: PLC0415, onnxruntime takes a tenth of a second

        tagger = cls()
        tagger.random_state = read(tagger, Path(folder), backend, threads)["random_state"]
        return tagger

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, scikit-learn's signature
        """The arguments of the constructor, by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Set arguments of the constructor by name."""
        for name, value in params.items():
            if name not in self.get_params():
                raise ValueError(f"{name!r} is no parameter of Tagger; it has {', '.join(self.get_params())}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator  # noqa: PLC0415, only scikit-learn asks

        return BaseEstimator.__sklearn_tags__(self)
