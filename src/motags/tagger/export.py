"""How a trained tagger becomes a folder: weights as safetensors, graphs over them as ONNX, the rest as JSON."""

import copy
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from shutil import copytree
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from torch import Tensor, nn
from torch.nn.functional import normalize

from motags.artifacts import sealing
from motags.evidence.kinds import PICTURES
from motags.evidence.label_attention import TagEncoder, mean_state
from motags.evidence.onnx_encoder import GRAPHS
from motags.evidence.onnx_export import exported, refer
from motags.evidence.torch_encoder import TorchEncoder
from motags.tagger.card import model_card
from motags.tagger.folder import FORMAT, version_of
from motags.tagger.model import Manifest, Model
from motags.tagger.onnx_ranker import RANKER
from motags.tagger.pictures import FOLDER
from motags.tagger.ranker import Ranker

LIBRARIES = ("numpy", "onnxruntime", "scikit-learn", "sentence-transformers", "torch", "transformers")


SHORTEST, LONGEST = 2, 8192  # tokens of a text


class _OneText(nn.Module):
    """A tag encoder for one text, which needs no padding and so no mask."""

    def __init__(self, model: TagEncoder) -> None:
        super().__init__()
        own = copy.deepcopy(model)
        own.transformer.set_attn_implementation("eager")  # the other kinds guard against rows that a mask empties
        self.transformer, self.head = own.transformer, own.head

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (1, t) and embedding (1, d) of token ids (1, T)."""
        states = self.transformer(input_ids=input_ids).last_hidden_state
        there = torch.ones_like(input_ids)
        return self.head(states, there), normalize(mean_state(states, there), dim=-1)


def write(model: Model, folder: Path, params: dict[str, Any], random_state: int) -> None:
    """Write a model that was trained in this process, and give it its version; see `Tagger.save`."""
    assert isinstance(model.encoder_, TorchEncoder)  # noqa: S101, `fit` made it
    encoder = model.encoder_
    network = encoder.model.cpu().eval()
    states = {kind: own.state() for kind, own in model.evidence_.items()}
    files: dict[str, dict[str, np.ndarray]] = {
        "evidence": {f"{kind}/{name}": array for kind, (own, _) in states.items() for name, array in own.items()},
        "clusters": {str(cluster): centroid for cluster, centroid in enumerate(model.centroids_)},
        "films": _film_arrays(model),
    }
    about = manifest(model, params, random_state)
    with sealing(folder) as temporary:
        temporary.mkdir()
        made_for = {"tags": json.dumps(model.tags_, ensure_ascii=False)}
        network.transformer.config.save_pretrained(temporary / "encoder")
        encoder.tokenizer.save_pretrained(temporary / "encoder")
        save_tensors(_own(network.state_dict()), temporary / "encoder.safetensors", metadata=made_for)
        for name, arrays in files.items():
            save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()},
                      temporary / f"{name}.safetensors", metadata=made_for)  # fmt: skip
        if model.pictures_ and any(kind in model.evidence_ for kind in PICTURES):
            copytree(model.pictures_.folder, temporary / FOLDER)
        _write_graphs(network, temporary)
        _ranker_graph(cast("Ranker", model.ranker_), len(model.tags_), temporary / RANKER)
        _write_json(temporary / "tagger.json", about)
        _write_json(temporary / "vocabulary.json", {kind: texts for kind, (_, texts) in states.items()})
        _write_json(temporary / "films.json", _film_names(model))
        (temporary / "README.md").write_text(model_card(model, about["params"]), encoding="utf-8")
    model.version_ = version_of(folder)


def _film_arrays(model: Model) -> dict[str, np.ndarray]:
    films = model.films_
    return {
        "embeddings": films.embeddings.astype(np.float16),
        "Y": films.Y.astype(np.uint8),
        "support": model.support_,
        "out_of_fold": films.out_of_fold.astype(np.float16),
    }


def _film_names(model: Model) -> dict[str, list[str]]:
    return {"ids": model.films_.ids, "titles": model.films_.titles, "others": model.others_}


def manifest(model: Model, params: dict[str, Any], random_state: int) -> Manifest:
    """What the folder says of the model: its tags, its parameters, and what made it."""
    params = {name: section.model_dump() for name, section in params.items()}
    tags = zip(model.tags_, model.kinds_, model.descriptions_, model.thresholds_.tolist(), strict=True)
    return {
        "format": FORMAT,
        "tags": [dict(zip(("tag", "kind", "description", "threshold"), tag, strict=True)) for tag in tags],
        "text": asdict(model.text_rules_),
        "clusters": len(model.centroids_),
        "films": len(model.films_.ids) + len(model.others_),
        "max_tokens": params["embedder"]["max_tokens"],
        "evidence": list(model.evidence_),
        "params": params,
        "random_state": random_state,
        "libraries": {name: version(name).split("+")[0] for name in LIBRARIES},
    }


def _own(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in weights.items()}


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _write_graphs(model: TagEncoder, folder: Path) -> None:
    """The encoder's graph over `encoder.safetensors`, and one with its own weights in 8 bits."""
    tokens = torch.export.Dim("tokens", min=SHORTEST, max=LONGEST)
    example = torch.full((1, 8), 5, dtype=torch.long)
    graph = exported(_OneText(model).eval(), "input_ids", example, ["tag_logits", "text_embedding"], {1: tokens})
    refer(graph, folder / "encoder.safetensors")
    onnx.save_model(graph, folder / GRAPHS["float32"])
    folded = folder / "folded.onnx"
    options = SessionOptions()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_BASIC  # weights as the quantizer wants them
    options.optimized_model_filepath = str(folded)
    options.log_severity_level = 3
    InferenceSession(folder / GRAPHS["float32"], options, providers=["CPUExecutionProvider"])
    quieted = logging.getLogger()
    level = quieted.level
    quieted.setLevel(logging.ERROR)  # it advises what was just done
    quantize_dynamic(folded, folder / GRAPHS["int8"], weight_type=QuantType.QInt8, per_channel=True,
                     reduce_range=True,  # 7 bits: with 8, sums overflow on processors without VNNI
                     op_types_to_quantize=["MatMul"])  # fmt: skip
    quieted.setLevel(level)
    folded.unlink()
    quantized = onnx.load(folder / GRAPHS["int8"])
    refer(quantized, folder / "encoder.safetensors")
    onnx.save_model(quantized, folder / GRAPHS["int8"])


def _ranker_graph(ranker: Ranker, t: int, path: Path) -> None:
    class Probabilities(nn.Module):
        """The ranker and its scores."""

        def forward(self, evidence: Tensor) -> Tensor:
            """Scores (b, t) of evidence (b, w, t)."""
            return ranker.proba(evidence)

        ranker_ = ranker

    films = torch.export.Dim("films", min=1)
    example = torch.zeros(3, len(ranker.mean), t)
    onnx.save_model(exported(Probabilities().eval(), "evidence", example, ["scores"], {0: films}), path)
