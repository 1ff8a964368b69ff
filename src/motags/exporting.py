"""How a trained tagger becomes a folder: weights as safetensors, graphs over them as ONNX, the rest as JSON."""

import copy
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx.external_data_helper import set_external_data
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoModel, AutoTokenizer

from motags.artifacts import sealing
from motags.embedder import EmbedderParams
from motags.model_card import model_card
from motags.model_folder import FORMAT, Manifest, version_of
from motags.onnx_models import GRAPHS, RANKER
from motags.tag_encoder import TagAttention, TagEncoder, mean_state
from motags.tagger import Tagger
from motags.training import TorchEncoder

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


def write(tagger: Tagger, folder: Path) -> None:
    """Write a tagger that was trained in this process, and give it its version; see `Tagger.save`."""
    assert isinstance(tagger.encoder_, TorchEncoder)  # noqa: S101, `fit` made it
    encoder = tagger.encoder_
    model = encoder.model.cpu().eval()
    words, runs = tagger.words_.state()
    mentions, letters = tagger.mentions_.state()
    films = tagger.films_
    arrays: dict[str, dict[str, np.ndarray]] = {
        "words": {f"words.{name}": array for name, array in words.items()}
        | {f"mentions.{name}": array for name, array in mentions.items()},
        "clusters": {str(cluster): centroid for cluster, centroid in enumerate(tagger.centroids_)},
        "films": {
            "embeddings": films.embeddings.astype(np.float16),
            "Y": films.Y.astype(np.uint8),
            "support": tagger.support_,
            "out_of_fold": films.out_of_fold.astype(np.float16),
        },
    }
    about = manifest(tagger)
    with sealing(folder) as temporary:
        temporary.mkdir()
        made_for = {"tags": json.dumps(tagger.tags_, ensure_ascii=False)}
        model.transformer.config.save_pretrained(temporary / "encoder")
        encoder.tokenizer.save_pretrained(temporary / "encoder")
        save_tensors(_own(model.state_dict()), temporary / "encoder.safetensors", metadata=made_for)
        for name, own in arrays.items():
            save_file({key: np.ascontiguousarray(array) for key, array in own.items()},
                      temporary / f"{name}.safetensors", metadata=made_for)  # fmt: skip
        _write_graphs(model, temporary)
        _ranker_graph(cast("nn.Module", tagger.ranker_), len(tagger.tags_), temporary / RANKER)
        _write_json(temporary / "tagger.json", about)
        _write_json(temporary / "vocabulary.json", {"words": runs, "mentions": letters})
        _write_json(temporary / "films.json", {"ids": films.ids, "titles": films.titles, "others": tagger.others_})
        (temporary / "README.md").write_text(model_card(tagger, about["params"]), encoding="utf-8")
    tagger.version_ = version_of(folder)


def manifest(tagger: Tagger) -> Manifest:
    """What the folder says of the model: its tags, its parameters, and what made it."""
    params = {name: section.model_dump() for name, section in tagger.params_.items()}
    tags = zip(tagger.tags_, tagger.kinds_, tagger.descriptions_, tagger.thresholds_.tolist(), strict=True)
    return {
        "format": FORMAT,
        "tags": [dict(zip(("tag", "kind", "description", "threshold"), tag, strict=True)) for tag in tags],
        "reading": asdict(tagger.reading_),
        "clusters": len(tagger.centroids_),
        "films": len(tagger.films_.ids) + len(tagger.others_),
        "max_tokens": params["embedder"]["max_tokens"],
        "max_words": tagger.words_.tfidf.max_words,
        "params": params,
        "random_state": tagger.random_state,
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
    graph = _exported(_OneText(model).eval(), "input_ids", example, ["tag_logits", "text_embedding"], {1: tokens})
    _refer(graph, folder / "encoder.safetensors")
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
    _refer(quantized, folder / "encoder.safetensors")
    onnx.save_model(quantized, folder / GRAPHS["int8"])


def _ranker_graph(ranker: nn.Module, t: int, path: Path) -> None:
    class Probabilities(nn.Module):
        """The ranker and its sigmoid."""

        def forward(self, evidence: Tensor) -> Tensor:
            """Scores (b, t) of evidence (b, w, t)."""
            return torch.sigmoid(ranker(evidence))

        ranker_ = ranker

    films = torch.export.Dim("films", min=1)
    witnesses = int(cast("Tensor", ranker.mean).shape[0])
    example = torch.zeros(3, witnesses, t)
    onnx.save_model(_exported(Probabilities().eval(), "evidence", example, ["scores"], {0: films}), path)


def _exported(module: nn.Module, given: str, example: Tensor, gives: list[str], sizes: dict[int, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module, (example,), dynamo=True, optimize=False, verbose=False, input_names=[given], output_names=gives,
            dynamic_shapes=(sizes,),
        )  # fmt: skip
    assert program is not None  # noqa: S101, a dynamo export gives one
    model = program.model_proto
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")  # the exporter keeps traces of this machine there
    return model


def _refer(graph: Any, weights: Path) -> None:
    """Have a graph take its weights out of a safetensors file, where they stand under the same names."""
    with weights.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        places = json.loads(file.read(size))
    for tensor in graph.graph.initializer:
        if tensor.name in places:
            begin, end = places[tensor.name]["data_offsets"]
            tensor.raw_data = b"there"  # `set_external_data` asks for some
            set_external_data(tensor, weights.name, offset=8 + size + begin, length=end - begin)
            tensor.ClearField("raw_data")


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
