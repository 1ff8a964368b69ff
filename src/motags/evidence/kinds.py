"""The kinds of evidence of a (film, tag) pair, in the order in which the ranker weighs them."""

from typing import Protocol

import numpy as np

from motags.evidence.names import Names
from motags.evidence.words import Words


class Encoder(Protocol):
    """The tuned encoder."""

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, t) and embeddings (n, d) of unit length, float32."""


def evidence(logits: np.ndarray, words: Words, names: Names, texts: list[str]) -> np.ndarray:
    """Evidence of n texts, (n, w, t) float32, one row a kind; the encoder's logits (n, t) are given."""
    spoken = np.stack([logits, words.logits(texts)], axis=1)
    return np.concatenate([spoken, names.cosines(texts)], axis=1)
