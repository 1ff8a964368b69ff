"""Tagger: texts in, calibrated scores of all tags out. The method that we ship."""

import json
import logging
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from motags import ranker
from motags.artifacts import checked, sealing
from motags.embedder import EmbedderParams, device_of
from motags.errors import MotagsError
from motags.ranker import Ranker, RankerParams
from motags.stratify import folds_of
from motags.tag_encoder import (
    States,
    TagAttention,
    TagEncoder,
    TagEncoderParams,
    logits_of,
    lower_states,
    of_like_length,
    tag_vectors,
    tokenized,
    top_layers,
    tune,
    whole,
)
from motags.words import Mentions, Words, WordsParams

WITNESSES = ("encoder", "words", "name", "description")
CHUNK = 1024  # texts scored at once: bounds memory, changes no score
MOST_PAIRS = 4_000_000  # (film, tag) pairs that the ranker learns from

log = logging.getLogger(__name__)


class TaggerParams(BaseModel):
    """Section `tagger` of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    folds: Annotated[int, Field(ge=2, le=20)]
    encoder: TagEncoderParams
    words: WordsParams
    ranker: RankerParams


class Tagger:
    """Independent witnesses of each (film, tag) pair, one ranker that weighs them for all tags, one decision rule.

    The witnesses are an encoder tuned on the tags (`tag_encoder`), a regression a tag on the words, and how much the
    text speaks of the tag's name and description (`words`). The ranker learns from scores that the first two
    gave to films which they had not seen.

    Attributes:
        tags_: the t tags.
        thresholds_: (t,) float32; a film gets a tag whose score is at least its threshold.
        asked_: (m,) int64, the rows of the training films that the ranker learned from, in order; all but in large
            catalogues.
        out_of_fold_: (m, t) float32, the scores of those films by models that have not seen them.
    """

    def __init__(self, params: TaggerParams, embedder: EmbedderParams, random_state: int) -> None:
        self.params = params
        self.embedder = embedder
        self.random_state = random_state

    def fit(
        self, encoder: SentenceTransformer, texts: list[str], Y: np.ndarray, tags: list[str], descriptions: list[str]
    ) -> Self:
        """Learn from n texts and their labels.

        Args:
            encoder: the pre-trained one; it is not changed.
            Y: (n, t) bool; tags, descriptions: t names, and a sentence about each or "".

        Raises:
            MotagsError: the texts are too few or too alike to learn from, or a loss is not finite.
        """
        self.tags_, self.descriptions_ = tags, descriptions
        self.tokenizer_ = encoder.tokenizer
        top = top_layers(encoder, self.params.encoder.trained_layers)
        states = lower_states(encoder, texts, self.embedder, self.params.encoder.trained_layers)
        said = [f"{tag}. {description}".strip() for tag, description in zip(tags, descriptions, strict=True)]
        start = tag_vectors(encoder, said, self.embedder)
        self.mentions_ = Mentions().fit(texts, tags, descriptions)
        fold = folds_of(texts, Y, self.params.folds, self.random_state)  # (n,)
        if fold.max() < 1:
            raise MotagsError("all training films have the same text: the tagger needs films to compare")
        self.asked_ = asked = self._asked(len(texts))
        evidence = np.empty((len(asked), len(WITNESSES), len(tags)), dtype=np.float32)
        for k in np.unique(fold[asked]):
            log.info("evidence on fold %d of %d", k + 1, fold.max() + 1)
            seen, held = np.flatnonzero(fold != k), fold[asked] == k
            tuned = self._tuned(top, states.part(seen), Y[seen], start)
            words = self._words([texts[row] for row in seen], Y[seen])
            logits = logits_of(tuned, states.part(asked[held]), self.embedder)
            evidence[held] = self._evidence(logits, words, [texts[row] for row in asked[held]])
        self.encoder_ = whole(encoder, self._tuned(top, states, Y, start))
        self.words_ = self._words(texts, Y)
        self._rank(evidence, Y[asked], fold[asked])
        return self

    def _asked(self, n: int) -> np.ndarray:
        """Rows of the films that the ranker learns from: all, or as many as make enough pairs."""
        most = max(MOST_PAIRS // len(self.tags_), self.params.folds)
        return np.sort(np.random.default_rng(self.random_state).permutation(n)[:most])

    def _tuned(self, top: torch.nn.Module, states: States, Y: np.ndarray, start: np.ndarray) -> TagEncoder:
        frequency = (Y.sum(0) + 0.5) / (len(Y) + 1)
        head = TagAttention(start, frequency, self.params.encoder.dropout)
        return tune(top, head, states, Y, self.params.encoder, self.embedder, self.random_state)

    def _words(self, texts: list[str], Y: np.ndarray) -> Words:
        return Words(self.params.words, self.random_state).fit(texts, Y)

    def _evidence(self, logits: np.ndarray, words: Words, texts: list[str]) -> np.ndarray:
        """What the witnesses say of n texts, (n, w, t) float32; the encoder's logits (n, t) are given."""
        spoken = np.stack([logits, words.logits(texts)], axis=1)
        return np.concatenate([spoken, self.mentions_.cosines(texts)], axis=1)

    def _rank(self, evidence: np.ndarray, Y: np.ndarray, fold: np.ndarray) -> None:
        """Train the ranker; find the thresholds on scores of films that the ranker which scores them has not seen."""
        params, seed = self.params.ranker, self.random_state
        self.out_of_fold_ = np.empty(Y.shape, dtype=np.float32)
        for k in np.unique(fold):
            held = fold == k
            fitted = ranker.fit(evidence[~held], Y[~held], params, seed)
            self.out_of_fold_[held] = ranker.predict_proba(fitted, evidence[held])
        self.ranker_ = ranker.fit(evidence, Y, params, seed)
        self.thresholds_ = ranker.thresholds_of(self.out_of_fold_, params.macro).astype(np.float32)

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        """Calibrated scores (n, t) float32; up to rounding they don't depend on the texts' order and company."""
        chunks = [texts[first : first + CHUNK] for first in range(0, len(texts), CHUNK)]
        scores = [self._score(chunk) for chunk in chunks]
        return np.concatenate(scores) if scores else np.empty((0, len(self.tags_)), dtype=np.float32)

    def _score(self, texts: list[str]) -> np.ndarray:
        return ranker.predict_proba(self.ranker_, self._evidence(self._encode(texts), self.words_, texts))

    def _encode(self, texts: list[str]) -> np.ndarray:
        """The tuned encoder's logits (n, t), in float32: half precision would let a score feel its neighbours."""
        device = device_of(self.embedder)
        model = self.encoder_.to(device).eval()
        tokens = tokenized(self.tokenizer_, texts, self.embedder.max_tokens)
        logits = np.empty((len(texts), len(self.tags_)), dtype=np.float32)
        with torch.inference_mode():
            for rows in of_like_length(np.array([len(ids) for ids in tokens]), self.embedder.encode_batch_size):
                batch = {"input_ids": [tokens[row] for row in rows]}
                padded = self.tokenizer_.pad(batch, return_tensors="pt").to(device)
                logits[rows] = model(**padded).cpu().numpy()
        return logits

    def predict(self, texts: list[str]) -> np.ndarray:
        """The tags that the texts get, (n, t) bool."""
        return self.predict_proba(texts) >= self.thresholds_

    def save(self, folder: Path) -> None:
        """Write everything that tagging needs as a sealed folder: safetensors and JSON, nothing that runs."""
        about = {
            "tags": self.tags_,
            "descriptions": self.descriptions_,
            "thresholds": self.thresholds_.tolist(),
            "params": self.params.model_dump(),
            "embedder": self.embedder.model_dump(),
            "random_state": self.random_state,
        }
        (words, runs), (mentions, letters) = self.words_.state(), self.mentions_.state()
        arrays = {f"words.{name}": array for name, array in words.items()}
        arrays |= {f"mentions.{name}": array for name, array in mentions.items()}
        with sealing(folder) as temporary:
            self.encoder_.transformer.save_pretrained(temporary / "encoder")
            self.tokenizer_.save_pretrained(temporary / "encoder")
            save_tensors(self.encoder_.head.state_dict(), temporary / "head.safetensors")
            save_tensors(self.ranker_.state_dict(), temporary / "ranker.safetensors")
            save_file(arrays, temporary / "words.safetensors")
            for name, values in {"tagger": about, "vocabulary": {"words": runs, "mentions": letters}}.items():
                text = json.dumps(values, ensure_ascii=False, indent=1, sort_keys=True)
                (temporary / f"{name}.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises MotagsError where it is missing or damaged."""
        about, vocabulary = (
            json.loads((checked(folder) / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("tagger", "vocabulary")
        )
        tagger = cls(
            TaggerParams(**about["params"]),
            EmbedderParams(**(about["embedder"] | {"device": "auto"})),
            about["random_state"],
        )
        tagger.tags_, tagger.descriptions_ = about["tags"], about["descriptions"]
        tagger.thresholds_ = np.array(about["thresholds"], dtype=np.float32)
        tagger.tokenizer_ = AutoTokenizer.from_pretrained(folder / "encoder")
        transformer = AutoModel.from_pretrained(folder / "encoder", use_safetensors=True)
        head = load_tensors(folder / "head.safetensors")
        tagger.encoder_ = TagEncoder(
            transformer, TagAttention(head["weight"].numpy(), head["bias"].sigmoid().numpy())
        ).eval()
        tagger.encoder_.head.load_state_dict(head)
        params, t = tagger.params, len(tagger.tags_)
        tagger.ranker_ = Ranker(len(WITNESSES), t, params.ranker.width).eval()
        tagger.ranker_.load_state_dict(load_tensors(folder / "ranker.safetensors"))
        arrays: dict[str, dict[str, np.ndarray]] = {"words": {}, "mentions": {}}
        for name, array in load_file(folder / "words.safetensors").items():
            witness, part = name.split(".")
            arrays[witness][part] = array
        tagger.words_ = Words.restored(arrays["words"], vocabulary["words"], params.words)
        tagger.mentions_ = Mentions.restored(
            arrays["mentions"], vocabulary["mentions"], tagger.tags_, tagger.descriptions_
        )
        return tagger
