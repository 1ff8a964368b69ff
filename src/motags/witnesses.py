"""The witnesses of a (film, tag) pair, and what they say of it: the evidence that the ranker weighs."""

from typing import Protocol

import numpy as np

from motags.words import Mentions, Words

ROWS, PAIRS = 256, 250_000  # films and (film, tag) pairs that a ranker weighs at once: bounds memory alone


class Encoder(Protocol):
    """The tuned encoder."""

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, t) and embeddings (n, d) of unit length, float32."""


class Ranker(Protocol):
    """What weighs the evidence."""

    def predict_proba(self, evidence: np.ndarray) -> np.ndarray:
        """Scores (n, t) float32 of evidence (n, w, t) float32."""


def evidence(logits: np.ndarray, words: Words, mentions: Mentions, texts: list[str]) -> np.ndarray:
    """What the witnesses say of n texts, (n, w, t) float32; the encoder's logits (n, t) are given."""
    spoken = np.stack([logits, words.logits(texts)], axis=1)
    return np.concatenate([spoken, mentions.cosines(texts)], axis=1)


def films_at_once(tags: int) -> int:
    """Of how many films a ranker weighs the evidence in one pass."""
    return min(ROWS, max(PAIRS // tags, 1))
