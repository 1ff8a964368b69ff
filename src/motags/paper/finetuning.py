"""Fine-tuning the encoder on semi-hard triplets, with a checkpoint after every epoch."""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch import nn
from transformers.trainer_pt_utils import get_length_grouped_indices

from motags.artifacts import checked, is_first_process, sealing
from motags.errors import MotagsError, refuse_infinite
from motags.paper.embedder import (
    MAX_GRADIENT_NORM,
    EmbedderParams,
    be_repeatable,
    device_of,
    layers_of,
    slope,
    uses_bfloat16,
)
from motags.paper.triplets import triplet_loss
from motags.progress import reported

log = logging.getLogger(__name__)


def finetune(
    encoder: SentenceTransformer, texts: list[str], Y: np.ndarray, params: EmbedderParams, seed: int, checkpoint: Path
) -> pd.DataFrame:
    """Fine-tune `encoder` in place on triplets mined in each batch (paper, section 3, Embedder).

    One forward pass a batch serves anchors, positives and negatives: the paper's three instances
    share their weights. After each epoch the state is kept in `checkpoint`; a run that was killed goes
    on from there, with the same result, if encoder, films, parameters and the number of processes are
    the same. `torchrun` shares the batches between its processes.

    Args:
        texts, Y: n training texts and their (n, t) labels.
        checkpoint: a folder that need not exist.

    Returns:
        A row a step: epoch, films, loss, triplets, anchors (films that are anchor of a triplet).

    Raises:
        MotagsError: the loss is not finite, or there are fewer batches than processes.
    """
    accelerator = _accelerator(params)
    _prepare(encoder, params)
    tokens = encoder.tokenizer(texts, truncation=True, max_length=params.max_tokens)["input_ids"]
    labels = torch.as_tensor(Y, dtype=torch.float32)  # (n, t)
    key = _key(encoder, texts, Y, params, seed, accelerator.num_processes)
    trained = [weight for weight in encoder.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=params.learning_rate, fused=True)
    steps = _resume(checkpoint, key, encoder, optimizer)
    model, optimizer = accelerator.prepare(encoder, optimizer)
    model.train()
    for epoch in range(_epochs_done(steps) + 1, params.epochs + 1):
        torch.manual_seed(seed + epoch)
        batches = _batches([len(ids) for ids in tokens], params.batch_size, seed + epoch)
        per_process = len(batches) // accelerator.num_processes
        process_batches = batches[accelerator.process_index :: accelerator.num_processes][:per_process]
        if not process_batches:
            raise MotagsError(
                f"{len(batches)} batches are too few for {accelerator.num_processes} processes: start fewer, or lower "
                "embedder.batch_size"
            )
        for i, rows in enumerate(reported(process_batches, f"epoch {epoch}", "batches")):
            progress = (epoch - 1 + (i + 1) / len(process_batches)) / params.epochs
            for group in optimizer.param_groups:
                group["lr"] = params.learning_rate * slope(progress, params.warmup)
            padded = encoder.tokenizer.pad({"input_ids": [tokens[row] for row in rows]}, return_tensors="pt")
            step = _step(accelerator, model, optimizer, padded, labels[rows], params)
            steps.append({"epoch": epoch, "films": len(rows)} | step)
        _log_epoch(steps, epoch)
        _save_checkpoint(checkpoint, key, accelerator.unwrap_model(model), optimizer, steps)
    return pd.DataFrame(steps, columns=["epoch", "films", "loss", "triplets", "anchors"])


def _epochs_done(steps: list[dict[str, float]]) -> int:
    return int(steps[-1]["epoch"]) if steps else 0


def forget(checkpoint: Path) -> None:
    """Remove the checkpoint of a run whose result is safe."""
    if is_first_process():
        shutil.rmtree(checkpoint, ignore_errors=True)


def _accelerator(params: EmbedderParams) -> Accelerator:
    be_repeatable(params)
    # a BERT's own pooler takes no part in the mean of its layers
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    precision = "bf16" if uses_bfloat16(params) else "no"
    return Accelerator(cpu=device_of(params) == "cpu", mixed_precision=precision, kwargs_handlers=[unused])


def _prepare(encoder: SentenceTransformer, params: EmbedderParams) -> None:
    """Set the dropout; freeze the token embeddings and the bottom layers."""
    layers = layers_of(encoder)
    if params.frozen_layers >= len(layers):
        raise MotagsError(f"embedder.frozen_layers = {params.frozen_layers} freezes all {len(layers)} layers: lower it")
    if params.frozen_layers:
        encoder.requires_grad_(False)
        layers[params.frozen_layers :].requires_grad_(True)
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = params.dropout


def _step(
    accelerator: Accelerator, model: Any, optimizer: Any, padded: Any, labels: torch.Tensor, params: EmbedderParams
) -> dict[str, float]:
    padded, labels = padded.to(accelerator.device), labels.to(accelerator.device)
    with accelerator.autocast():
        embeddings = model(dict(padded))["sentence_embedding"]  # (b, d)
    loss, triplets, anchors = triplet_loss(embeddings, labels, params.margin, params.ties)
    remedy = (
        f"lower embedder.learning_rate (now {params.learning_rate:g}) or set embedder.precision to float32; "
        "the last whole epoch is kept"
    )
    refuse_infinite(loss.item(), "the triplet loss", remedy)
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    optimizer.step()
    optimizer.zero_grad()
    return {"loss": loss.item(), "triplets": triplets, "anchors": anchors}


def _batches(lengths: list[int], batch_size: int, seed: int) -> list[np.ndarray]:
    """Rows of a shuffled epoch in batches of like length and nearly equal size, none of a single film."""
    generator = torch.Generator().manual_seed(seed)
    order = get_length_grouped_indices(lengths, batch_size, generator=generator)
    batches = np.array_split(np.array(order), math.ceil(len(order) / batch_size))
    return [batches[i] for i in torch.randperm(len(batches), generator=generator)]


def _log_epoch(steps: list[dict[str, float]], epoch: int) -> None:
    epoch_steps = pd.DataFrame([step for step in steps if step["epoch"] == epoch])
    share = epoch_steps["anchors"].sum() / epoch_steps["films"].sum()
    log.info("epoch %d: loss %.4f, %.0f %% of films are anchors", epoch, epoch_steps["loss"].mean(), 100 * share)


def summary(steps: pd.DataFrame) -> dict[str, object]:
    """The fine-tuning in numbers: for each epoch the loss, triplets, and share of films that are anchors."""
    epochs = steps.groupby("epoch").agg(
        loss=("loss", "mean"), triplets=("triplets", "sum"), anchors=("anchors", "sum"), films=("films", "sum")
    )
    epochs["anchors_with_a_triplet"] = epochs["anchors"] / epochs["films"]
    columns = ["loss", "triplets", "anchors_with_a_triplet"]
    return {f"epoch_{epoch}": dict(zip(columns, row, strict=True)) for epoch, *row in epochs[columns].itertuples()}


def loss_curve(steps: pd.DataFrame, points: int = 60) -> pd.DataFrame:
    """Mean loss and share of anchors over about `points` stretches of the fine-tuning, against epochs done."""
    if steps.empty:
        return pd.DataFrame(columns=["epoch", "loss", "anchors"])
    stretch = np.arange(len(steps)) * min(points, len(steps)) // len(steps)
    epochs_done = (np.arange(len(steps)) + 1) / len(steps) * steps["epoch"].max()
    steps = steps.assign(done=epochs_done, share=steps["anchors"] / steps["films"])
    curve = steps.groupby(stretch).agg(epoch=("done", "max"), loss=("loss", "mean"), anchors=("share", "mean"))
    return curve.reset_index(drop=True)


def _key(
    encoder: SentenceTransformer, texts: list[str], Y: np.ndarray, params: EmbedderParams, seed: int, processes: int
) -> str:
    """Identifies a run: the checkpoint of another run has another key."""
    digest = hashlib.sha256(f"{params.model_dump_json()} {seed} {Y.shape} {processes}".encode())
    digest.update("\0".join(texts).encode() + np.packbits(Y).tobytes())
    for tensor in encoder.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _save_checkpoint(
    checkpoint: Path, key: str, encoder: SentenceTransformer, optimizer: Any, steps: Iterable[dict[str, float]]
) -> None:
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{name}": tensor for name, tensor in state.items()}
    with sealing(checkpoint) as temporary:
        temporary.mkdir()
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, temporary / "state.safetensors"
        )
        (temporary / "progress.json").write_text(json.dumps({"key": key, "steps": steps}))


def _resume(
    checkpoint: Path, key: str, encoder: SentenceTransformer, optimizer: torch.optim.Optimizer
) -> list[dict[str, float]]:
    """Load the last whole epoch of the same run into encoder and optimizer; the steps done so far."""
    if not checkpoint.exists():
        return []
    try:
        progress = json.loads((checked(checkpoint) / "progress.json").read_text())
    except MotagsError as error:
        log.warning("%s: starting anew", error)
        return []
    if progress["key"] != key:
        log.info("the checkpoint in %s is of another run: starting anew", checkpoint)
        return []
    tensors = load_file(checkpoint / "state.safetensors")
    parts: dict[str, dict[str, torch.Tensor]] = {"encoder": {}, "adam": {}}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = tensor
    encoder.load_state_dict(parts["encoder"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in parts["adam"].items():
        i, moment = name.split(".")
        state.setdefault(int(i), {})[moment] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    log.info("going on after epoch %d", _epochs_done(progress["steps"]))
    return list(progress["steps"])
