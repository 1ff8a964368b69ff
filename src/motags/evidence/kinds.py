"""The kinds of evidence of a film, in the order in which the ranker weighs them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from motags.evidence.facts import Facts
from motags.evidence.names import Names
from motags.evidence.vectors import Vectors
from motags.evidence.words import Words
from motags.films.text import Entry

TEXT = "text"  # source of the tuned encoder's evidence
PICTURES = ("poster", "trailer")  # vectors that files of a film give


CLASSES: dict[str, type[Words] | type[Names] | type[Facts]] = {"words": Words, "names": Names, "facts": Facts}
BUILT_IN = (TEXT, *CLASSES, *PICTURES)  # all others are a user's vectors


class Encoder(Protocol):
    """The tuned encoder."""

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, t) and embeddings (n, d) of unit length, float32."""


class Kind(Protocol):
    """What one kind of evidence says of films, one or more rows a tag.

    Attributes:
        source: what of a film this is drawn from: kinds of one source know nothing of a film together.
        rows: of evidence, r.
    """

    source: str
    rows: int

    def evidence(self, films: Sequence[Entry]) -> np.ndarray:
        """Evidence of n films, (n, r, t) float32; NaN where it knows nothing of a film."""

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
        """What was learned, as arrays and as lists of texts."""


def restored(name: str, arrays: Mapping[str, np.ndarray], texts: Mapping[str, list[str]]) -> Kind:
    """The kind of evidence whose `state` was kept; what has no class of its own is vectors."""
    return CLASSES[name].restored(arrays, texts) if name in CLASSES else Vectors.restored(name, arrays)
