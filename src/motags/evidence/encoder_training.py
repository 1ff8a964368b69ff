"""Tuning the top layers of an encoder on the tags; what lies below them runs once."""

import copy
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from motags.errors import MotagsError, refuse_infinite
from motags.evidence.label_attention import TagEncoder, lower_layers, tokenized, transformer_of
from motags.paper.embedder import MAX_GRADIENT_NORM, EmbedderParams, be_repeatable, device_of, slope, uses_bfloat16
from motags.params import Params
from motags.progress import reported

WARMUP = 0.1  # share of the steps in which the rate rises
MOST_TAGS = 512  # of a step, if there are more: all that its films bear, and some that they don't
MOST_BYTES = 2 * 2**30  # of states in memory: more lie in a file
SMALLEST_BATCH = 8  # films, if they are few: with fewer, steps are too noisy
BUCKET = 50  # batches among which films of like length are put together

Loss = Callable[..., Tensor]


class TagEncoderParams(Params):
    """Section `tagger.encoder` of params.yaml."""

    trained_layers: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1, le=1000)]
    min_steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2, le=4096)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    head_learning_rate: Annotated[float, Field(gt=0, le=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class States:
    """The token states of n texts under the layers that are trained: the rest of the encoder need not run again.

    Attributes:
        values: (tokens of all texts, d), float32 or bfloat16.
        starts, lengths: (n,) int64, where in them each text's tokens begin, and how many it has.
    """

    values: Tensor
    starts: np.ndarray
    lengths: np.ndarray

    def part(self, rows: np.ndarray) -> "States":
        """Those of some texts, sharing the values."""
        return States(self.values, self.starts[rows], self.lengths[rows])

    def batch(self, rows: np.ndarray, device: str) -> tuple[Tensor, Tensor]:
        """Padded states (b, T, d) float32, and which of them are there, (b, T) int64."""
        own = [self.values[self.starts[row] : self.starts[row] + self.lengths[row]].float() for row in rows]
        padded = nn.utils.rnn.pad_sequence(own, batch_first=True).to(device)  # (b, T, d)
        lengths = torch.as_tensor(self.lengths[rows], device=device)
        return padded, (torch.arange(padded.shape[1], device=device) < lengths[:, None]).long()


def lower_states(encoder: SentenceTransformer, texts: list[str], params: EmbedderParams, trained_layers: int) -> States:
    """Run the pre-trained encoder over n texts, as far as to the layers that will be trained."""
    device, transformer = device_of(params), lower_layers(encoder, trained_layers)
    tokens = tokenized(encoder.tokenizer, texts, params.max_tokens)
    lengths = np.array([len(ids) for ids in tokens])
    starts = np.cumsum(lengths) - lengths
    bfloat16 = uses_bfloat16(params)
    kind = torch.bfloat16 if bfloat16 else torch.float32
    values = _room(int(lengths.sum()), transformer_of(encoder).config.hidden_size, kind)
    transformer.to(device).eval()
    with torch.autocast(device, torch.bfloat16, enabled=bfloat16), torch.inference_mode():
        for rows in reported(of_like_length(lengths, params.encode_batch_size), "encoding", "batches"):
            padded = encoder.tokenizer.pad({"input_ids": [tokens[row] for row in rows]}, return_tensors="pt").to(device)
            hidden = transformer(**padded, output_hidden_states=True).hidden_states[-2]  # (b, T, d)
            for row, own in zip(rows, hidden.cpu(), strict=True):
                values[starts[row] : starts[row] + lengths[row]] = own[: lengths[row]]
    return States(values, starts, lengths)


def _room(tokens: int, d: int, kind: torch.dtype) -> Tensor:
    """An empty tensor (tokens, d), in a temporary file where it would be too large for memory.

    Raises:
        MotagsError: there is no room for the file.
    """
    size = tokens * d * kind.itemsize
    if size <= MOST_BYTES:
        return torch.empty(tokens, d, dtype=kind)
    with tempfile.TemporaryFile() as file:  # it lasts as long as the tensor
        try:
            _reserve(file.fileno(), size)
        except OSError as error:
            raise MotagsError(
                f"{tempfile.gettempdir()} has no room for {size / 2**30:.1f} GB of what the encoder says of the films "
                f"({error.strerror}): make room, or set TMPDIR to another folder"
            ) from error
        return torch.from_numpy(np.memmap(file, np.uint8, "r+")).view(kind).reshape(tokens, d)


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.ftruncate(file, size)


def tune(
    top: nn.Module, head: nn.Module, states: States, Y: np.ndarray,
    params: TagEncoderParams, embedder: EmbedderParams, seed: int, loss: Loss = binary_cross_entropy_with_logits,
) -> TagEncoder:  # fmt: skip
    """Train a copy of the top layers and a head on top of them, by default with binary cross-entropy over all tags.

    Args:
        head: called with states (b, T, d) and which are there (b, T), gives logits (b, t); it is trained in place.
        states: of n training films; Y: (n, t) bool.
        loss: of logits and labels (b, t), with `reduction="none"`.

    Raises:
        MotagsError: the loss is not finite.
    """
    be_repeatable(embedder)
    torch.manual_seed(seed)
    device, bfloat16 = device_of(embedder), uses_bfloat16(embedder)
    model = TagEncoder(copy.deepcopy(top), head).to(device)
    model.transformer.eval()  # the pre-trained layers run without their dropout
    rates = {model.transformer: params.learning_rate, model.head: params.head_learning_rate}
    optimizer = torch.optim.AdamW([{"params": _trained(part), "lr": rate} for part, rate in rates.items()])
    rng = np.random.default_rng(seed)
    batches = _batches(states.lengths, params, seed)
    remedy = f"lower tagger.encoder.learning_rate (now {params.learning_rate:g}) or set embedder.precision to float32"
    for step, rows in enumerate(reported(batches, "tuning the encoder on tags", "batches"), start=1):
        for group, rate in zip(optimizer.param_groups, rates.values(), strict=True):
            group["lr"] = rate * slope(step / (len(batches) + 1), WARMUP)
        values, there = states.batch(rows, device)
        labels = torch.as_tensor(Y[rows], dtype=torch.float32, device=device)  # (b, t)
        drawn, weight = _drawn_tags(Y[rows], rng, device) if Y.shape[1] > MOST_TAGS else (None, None)
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            logits, _ = model(there, drawn, inputs_embeds=values)  # (b, t)
        losses = loss(logits.float(), labels if drawn is None else labels[:, drawn], reduction="none")
        total = (losses if weight is None else losses * weight).sum() / len(rows)
        refuse_infinite(total.item(), "the tag encoder's loss", remedy)
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
    return model.eval()


def _drawn_tags(Y: np.ndarray, rng: np.random.Generator, device: str) -> tuple[Tensor, Tensor]:
    """The tags (u,) that films with labels Y (b, t) learn from in one step, and how much each weighs, (u,).

    All that the films bear, and some of the others, which stand for all others.
    """
    borne = Y.any(0)
    others = np.flatnonzero(~borne)
    drawn = rng.choice(others, min(max(MOST_TAGS - borne.sum(), 1), len(others)), replace=False)
    weight = np.repeat([1.0, len(others) / max(len(drawn), 1)], [borne.sum(), len(drawn)])
    tags = np.concatenate([np.flatnonzero(borne), drawn])
    return torch.as_tensor(tags, device=device), torch.as_tensor(weight, dtype=torch.float32, device=device)


def _trained(part: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in part.parameters() if weight.requires_grad]


def answers_of(model: TagEncoder, states: States, embedder: EmbedderParams) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, t) and embeddings (n, d), float32, of n films from their states under the top layers."""
    device = device_of(embedder)

    def answer(rows: np.ndarray) -> tuple[Tensor, Tensor]:
        values, there = states.batch(rows, device)
        return model(there, inputs_embeds=values)

    with torch.autocast(device, torch.bfloat16, enabled=uses_bfloat16(embedder)):
        return in_batches(answer, states.lengths, embedder.encode_batch_size)


def logits_of(model: TagEncoder, states: States, embedder: EmbedderParams) -> np.ndarray:
    """The logits alone of `answers_of`."""
    return answers_of(model, states, embedder)[0]


def in_batches(
    answer: Callable[[np.ndarray], tuple[Tensor, Tensor]], lengths: np.ndarray, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """What `answer` gives for rows, (b, t) and (b, d), of n films in their order, (n, t) and (n, d) float32."""
    batches = of_like_length(lengths, batch_size)
    with torch.inference_mode():
        answers = [[part.float().cpu().numpy() for part in answer(rows)] for rows in batches]
    order = np.argsort(np.concatenate(batches))
    logits, embeddings = (np.concatenate(parts)[order] for parts in zip(*answers, strict=True))
    return logits, embeddings


def of_like_length(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Rows in batches of like length, the longest first."""
    order = np.argsort(-lengths, kind="stable")
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


def _batches(lengths: np.ndarray, params: TagEncoderParams, seed: int) -> list[np.ndarray]:
    """Rows of all epochs, batch by batch; few films come in smaller batches, then in more epochs, for `min_steps`."""
    enough = params.epochs * len(lengths) // params.min_steps  # films in a batch, for `min_steps` in these epochs
    size = min(params.batch_size, max(enough, SMALLEST_BATCH))
    epochs = max(params.epochs, math.ceil(params.min_steps / math.ceil(len(lengths) / size)))
    return [rows for epoch in range(epochs) for rows in _shuffled(lengths, size, seed + epoch)]


def _shuffled(lengths: np.ndarray, batch_size: int, seed: int) -> list[np.ndarray]:
    """Rows of one epoch in random batches of like length."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    batches: list[np.ndarray] = []
    for own in np.array_split(order, math.ceil(len(order) / (batch_size * BUCKET))):
        batches += np.array_split(own[np.argsort(lengths[own], kind="stable")], math.ceil(len(own) / batch_size))
    return [batches[i] for i in rng.permutation(len(batches))]
