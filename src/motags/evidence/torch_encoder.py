"""The tuned encoder on PyTorch."""

from typing import Any

import numpy as np
from torch import Tensor

from motags.evidence.encoder_training import in_batches
from motags.evidence.label_attention import TagEncoder, tokenized
from motags.paper.embedder import EmbedderParams, device_of


class TorchEncoder:
    """The tuned encoder on PyTorch, in float32: half precision would let a score feel its neighbours."""

    def __init__(self, model: TagEncoder, tokenizer: Any, embedder: EmbedderParams) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.embedder = embedder

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, t) and embeddings (n, d) of unit length, float32."""
        device = device_of(self.embedder)
        self.model.to(device)
        tokens = tokenized(self.tokenizer, texts, self.embedder.max_tokens)

        def answer(rows: np.ndarray) -> tuple[Tensor, Tensor]:
            padded = self.tokenizer.pad({"input_ids": [tokens[row] for row in rows]}, return_tensors="pt")
            return self.model(**padded.to(device))

        return in_batches(answer, np.array([len(ids) for ids in tokens]), self.embedder.encode_batch_size)
