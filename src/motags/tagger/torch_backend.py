"""The encoder of a model's folder on the training stack."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file as load_tensors
from transformers import AutoConfig, AutoModel, AutoTokenizer

from motags.evidence.label_attention import TagAttention, TagEncoder
from motags.evidence.torch_encoder import TorchEncoder
from motags.paper.embedder import EmbedderParams
from motags.tagger.model import Manifest


def read_encoder(folder: Path, about: Manifest, threads: int = 0) -> TorchEncoder:
    """The encoder of a model's folder on the training stack, on a GPU where there is one; see `Tagger.load`."""
    if threads:
        torch.set_num_threads(threads)
    transformer = AutoModel.from_config(AutoConfig.from_pretrained(folder / "encoder"))
    d, tags = transformer.config.hidden_size, len(about["tags"])
    head = TagAttention(np.zeros((tags, d), dtype=np.float32), np.full(tags, 0.5))
    model = TagEncoder(transformer, head)
    model.load_state_dict(load_tensors(folder / "encoder.safetensors"))
    embedder = EmbedderParams(**(about["params"]["embedder"] | {"device": "auto"}))
    return TorchEncoder(model, AutoTokenizer.from_pretrained(folder / "encoder"), embedder)
