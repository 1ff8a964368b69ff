"""The ranker as an ONNX graph on onnxruntime."""

from pathlib import Path

import numpy as np

from motags.evidence.onnx_encoder import session_of
from motags.tagger.model import films_at_once

RANKER = "ranker.onnx"


class OnnxRanker:
    """The ranker of a model's folder."""

    def __init__(self, folder: Path) -> None:
        self._session = session_of(folder / RANKER)

    def predict_proba(self, evidence: np.ndarray) -> np.ndarray:
        """Scores (n, t) float32 of evidence (n, w, t) float32."""
        rows = films_at_once(evidence.shape[2])
        parts = (evidence[first : first + rows] for first in range(0, len(evidence), rows))
        return np.concatenate([self._session.run(None, {"evidence": part})[0] for part in parts])
