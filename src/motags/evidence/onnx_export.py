"""How a network becomes an ONNX graph whose weights stand in a safetensors file beside it."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from onnx.external_data_helper import set_external_data
from torch import Tensor, nn


def exported(
    module: nn.Module, input_name: str, example: Tensor, gives: list[str], sizes: dict[int, Any], optimize: bool = False
) -> Any:
    """The ONNX model of a module with one input, whose axes in `sizes` vary; no trace of this machine is in it.

    With `optimize` operations are joined, and weights of the module's names may have other values than there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module, (example,), dynamo=True, optimize=optimize, verbose=False, input_names=[input_name],
            output_names=gives,
            dynamic_shapes=(sizes,),
        )  # fmt: skip
    assert program is not None  # noqa: S101, a dynamo export gives one
    model = program.model_proto
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")  # the exporter keeps traces of this machine there
    return model


def refer(graph: Any, weights: Path) -> None:
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
