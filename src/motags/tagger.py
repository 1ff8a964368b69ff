"""Tagger: texts in, tags with calibrated scores out. The method that we ship; loading it needs no training stack."""

import inspect
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from motags.errors import MotagsError
from motags.known_films import KnownFilms
from motags.labels import labels_of, texts_of
from motags.tagging import Reading
from motags.witnesses import Encoder, Ranker, evidence
from motags.words import Mentions, Words

if TYPE_CHECKING:
    from motags.onnx_models import Form

CHUNK = 1024  # texts scored at once: bounds memory, changes no score


class Scores(NamedTuple):
    """What the tagger says of n texts.

    Attributes:
        scores: (n, t) float32, calibrated; embeddings: (n, d) float32 of unit length; clusters: (n,) int64.
    """

    scores: np.ndarray
    embeddings: np.ndarray
    clusters: np.ndarray


class Tagger:
    """Independent witnesses of each (film, tag) pair, one ranker that weighs them for all tags, one decision rule.

    The witnesses are an encoder tuned on the tags, a regression a tag on the words, and how much the text speaks of
    the tag's name and description. The ranker learns from scores that the first two gave to films which they had not
    seen. It follows scikit-learn's contract.

    Args:
        tagger, embedder: sections of params.yaml, as dictionaries or records; None for the defaults.
        random_state: seed of all that is drawn.

    Attributes:
        tags_, kinds_, descriptions_: t names; "genre", "keyword" or "" of each; a sentence about each or "".
        thresholds_: (t,) float32; a film gets a tag whose score is at least its threshold.
        centroids_: (k, d) float32, of the clusters of the training films.
        films_: the training films that the ranker learned from: all, but of a large catalogue some.
        others_: ids of the other training films; support_: (t,) int64, how many training films bear each tag.
        reading_: which text of a film the texts were, for `motags tag` and `motags review` to read alike.
        params_: the sections of parameters that it was trained with, by name; only after `fit`.
        version_: names the saved model; "" before it is saved.
    """

    tags_: list[str]
    kinds_: list[str]
    descriptions_: list[str]
    thresholds_: np.ndarray
    centroids_: np.ndarray
    films_: KnownFilms
    others_: list[str]
    support_: np.ndarray
    reading_: Reading
    params_: dict[str, Any]
    encoder_: Encoder
    words_: Words
    mentions_: Mentions
    ranker_: Ranker
    version_ = ""

    def __init__(self, tagger: Any = None, embedder: Any = None, random_state: int = 42) -> None:
        self.tagger = tagger
        self.embedder = embedder
        self.random_state = random_state

    def fit(
        self, texts: Sequence[str], Y: Any, *, tags: Sequence[str] | None = None,
        descriptions: Mapping[str, str] | None = None, kinds: Mapping[str, str] | None = None,
        ids: Sequence[str] | None = None, titles: Sequence[str] | None = None, encoder: Any = None,
        reading: Reading | None = None,
    ) -> Self:  # fmt: skip
        """Learn from n texts and their tags; needs `motags[train]`.

        Args:
            Y: n lists of tags, or (n, t) bool with the names in `tags` (if not given, the columns' names of a pandas
                table, else their numbers).
            descriptions, kinds: a sentence about a tag, and its kind, where there is one.
            ids, titles: of the films, ids as text; their numbers and "" if not given.
            encoder: a SentenceTransformer to start from; if not given, the one that `embedder.model` names.
            reading: how the texts were chosen from what a catalogue has of a film, if not by default.

        Raises:
            MotagsError: the texts are too few or too alike to learn from, one is no text, or there are no tags; the
                arguments don't fit each other; or a loss is not finite.
        """
        try:
            from motags.training import train  # noqa: PLC0415, what tags films needs no training stack
        except ImportError as error:
            raise MotagsError(f"training needs {error.name}: pip install 'motags[train]'") from None
        texts, (labels, names) = texts_of(texts), labels_of(Y, tags)
        ids = [str(id_) for id_ in (range(len(texts)) if ids is None else ids)]
        titles = [""] * len(texts) if titles is None else [one if isinstance(one, str) else "" for one in titles]
        columns: dict[str, Sized] = {"rows of tags": labels, "ids": ids, "titles": titles}
        for what, given in columns.items():
            if len(given) != len(texts):
                raise MotagsError(f"{len(texts)} texts have {len(given)} {what}: give one for each")
        if not (names and texts):
            raise MotagsError(f"there are no {'texts to learn from' if names else 'tags to learn'}")
        self.version_ = ""
        self.tags_, self.reading_ = names, reading or Reading()
        self.kinds_ = [(kinds or {}).get(tag, "") for tag in names]
        self.descriptions_ = [(descriptions or {}).get(tag, "") for tag in names]
        train(self, texts, labels, ids, titles, encoder)
        return self

    def score(self, texts: Sequence[str]) -> Scores:
        """Scores, embeddings and clusters of n texts; they don't depend on the texts' order and company.

        Raises:
            MotagsError: what stands for a text is none.
        """
        texts = texts_of(texts)
        parts = [self._score(texts[first : first + CHUNK]) for first in range(0, len(texts), CHUNK)]
        if not parts:
            t, d = len(self.tags_), self.centroids_.shape[1]
            return Scores(np.empty((0, t), np.float32), np.empty((0, d), np.float32), np.empty(0, np.int64))
        return Scores(*map(np.concatenate, zip(*parts, strict=True)))

    def _score(self, texts: list[str]) -> Scores:
        logits, embeddings = self.encoder_.encode(texts)
        scores = self.ranker_.predict_proba(evidence(logits, self.words_, self.mentions_, texts))
        return Scores(scores, embeddings, self.clusters(embeddings))

    def clusters(self, embeddings: np.ndarray) -> np.ndarray:
        """The nearest centroid of each of n embeddings (n, d), (n,) int64, by Euclidean distance."""
        return (embeddings @ self.centroids_.T - (self.centroids_**2).sum(1) / 2).argmax(1)

    def held_out(self, ids: Sequence[str], scored: Scores) -> np.ndarray:
        """Scores (n, t) of n films, of those in `films_` the ones by models that had not seen them.

        Args:
            ids: n, see `KnownFilms.row`; scored: what `score` says of their texts.
        """
        scores = scored.scores.copy()
        for i, id_ in enumerate(ids):
            if (row := self.films_.row(id_, scored.embeddings[i])) is not None:
                scores[i] = self.films_.out_of_fold[row]
        return scores

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Calibrated scores (n, t) float32."""
        return self.score(texts).scores

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The tags that the texts get, (n, t) bool."""
        return self.predict_proba(texts) >= self.thresholds_

    def tag(
        self, texts: Sequence[str], *, top: int | None = None, threshold: float | None = None, least: int = 0
    ) -> list[list[tuple[str, float]]]:
        """The tags of each text with their scores, best first; see `chosen`."""
        return [self.chosen(row, top=top, threshold=threshold, least=least) for row in self.predict_proba(texts)]

    def chosen(
        self, scores: np.ndarray, *, top: int | None = None, threshold: float | None = None, least: int = 0
    ) -> list[tuple[str, float]]:
        """The tags of one text from its scores (t,), best first.

        Args:
            top: most tags; threshold: one for all tags instead of each tag's own; least: fewest tags, the best ones
                whatever their thresholds.
        """
        order = np.argsort(-scores, kind="stable")
        given = scores >= (self.thresholds_ if threshold is None else threshold)
        own = [j for place, j in enumerate(order) if given[j] or place < least][:top]
        return [(self.tags_[j], float(scores[j])) for j in own]

    def save(self, folder: Path | str) -> None:
        """Write everything that tagging needs as a sealed folder: safetensors, ONNX and JSON; needs `motags[train]`.

        Raises:
            MotagsError: the tagger was not trained in this process, or the folder can't be written.
        """
        if not hasattr(self, "params_"):
            raise MotagsError("only a tagger that was trained here can be saved: copy the folder that this one is from")
        from motags.exporting import write  # noqa: PLC0415, what tags films needs no training stack

        write(self, Path(folder))

    @classmethod
    def load(cls, folder: Path | str, form: "Form" = "int8", threads: int = 0) -> Self:
        """Read what `save` wrote, and nothing that runs.

        Args:
            form: "int8" or "float32" on onnxruntime; "torch" on the training stack, on a GPU where there is one.
            threads: 0 for as many as there are cores. In the form torch they are those of the whole process.

        Raises:
            MotagsError: the folder is missing, damaged, or its parts don't fit each other; or there is no such form.
        """
        from motags.model_folder import read  # noqa: PLC0415, onnxruntime takes a tenth of a second

        tagger = cls()
        read(tagger, Path(folder), form, threads)
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
