"""The encoder tuned on the tags themselves: each tag looks in a text for the words that speak for it."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from motags.embedder import EmbedderParams, be_repeatable, device_of, layers_of, uses_bfloat16
from motags.errors import MotagsError
from motags.progress import Progress

SHARPNESS = 15.0  # of the attention at the start: a tag reads the few words nearest to it
SCALE = 8.0  # of the logits at the start
WARMUP = 0.1  # share of the steps in which the rate rises
MAX_GRADIENT_NORM = 1.0
BUCKET = 50  # batches among which films of like length are put together

Loss = Callable[..., Tensor]


class TagEncoderParams(BaseModel):
    """Section `tagger.encoder` of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trained_layers: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1, le=1000)]
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


class TagAttention(nn.Module):
    """Logits of t tags from the token states of a text: the text as a whole, and the words that each tag looks for.

    A tag's attention over the tokens (label-wise attention, Mullenbach et al. 2018, section 3.2) and its weights
    both start from the embedding of its name and description, so that a tag which few films bear knows its words.

    Args:
        vectors: (t, d) float32 of unit length, the tags' embeddings.
        frequency: (t,), the share of the training films that bear each tag, inside (0, 1).
    """

    def __init__(self, vectors: np.ndarray, frequency: np.ndarray, dropout: float = 0.0) -> None:
        super().__init__()
        start = torch.as_tensor(vectors, dtype=torch.float32)
        self.weight = nn.Parameter(start.clone())
        self.query = nn.Parameter(start.clone())
        self.bias = nn.Parameter(torch.logit(torch.as_tensor(frequency, dtype=torch.float32)))
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.share = nn.Parameter(torch.tensor(0.5))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, there: Tensor) -> Tensor:
        """Logits (b, t) of states (b, T, d), and which of them are there (b, T)."""
        whole = normalize(mean_state(states, there), dim=-1)  # (b, d)
        words = normalize(states, dim=-1)  # (b, T, d)
        absent = there[..., None] == 0
        attention = (self.sharpness * words @ self.query.T).masked_fill(absent, -torch.inf).softmax(1)  # (b, T, t)
        said = (attention * (words @ self.weight.T)).sum(1)  # (b, t)
        return self.scale * (self.dropout(whole) @ self.weight.T + self.share * said) + self.bias


class Given(nn.Module):
    """Stands where a transformer has its token embeddings, and passes on the states that it is given."""

    def forward(self, inputs_embeds: Tensor, **_: Any) -> Tensor:
        """Return `inputs_embeds` as they are."""
        return inputs_embeds


class TagEncoder(nn.Module):
    """A transformer, whole or its top layers alone, and a head that makes logits of its last states."""

    transformer: Any
    head: nn.Module

    def __init__(self, transformer: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.transformer, self.head = transformer, head

    def forward(self, attention_mask: Tensor, **inputs: Tensor) -> Tensor:
        """Logits (b, t); `inputs` are those of the transformer: `input_ids`, or `inputs_embeds` for top layers."""
        states = self.transformer(attention_mask=attention_mask, **inputs).last_hidden_state
        logits: Tensor = self.head(states.float(), attention_mask)
        return logits


def transformer_of(encoder: SentenceTransformer) -> Any:
    """The transformer of an encoder, as the library `transformers` has it."""
    return encoder[0].model


def top_layers(encoder: SentenceTransformer, trained_layers: int) -> nn.Module:
    """A copy of the encoder's transformer with its top layers only, to be called with `inputs_embeds`.

    Raises:
        MotagsError: the encoder has too few layers, or is built otherwise than BERT and its like.
    """
    transformer, layers = transformer_of(encoder), layers_of(encoder)
    if trained_layers > len(layers):
        raise MotagsError(f"tagger.encoder.trained_layers = {trained_layers}: the encoder has {len(layers)} layers")
    path = _layers_path(encoder)
    parent, _, name = path.rpartition(".")
    top = copy.deepcopy(transformer)
    setattr(top.get_submodule(parent), name, top.get_submodule(path)[-trained_layers:])
    if not _is_the_top(top, transformer, trained_layers):
        raise MotagsError(f"embedder.model is a {type(top).__name__}: tagger needs one that is built like BERT")
    top.requires_grad_(False).get_submodule(path).requires_grad_(True)
    return cast("nn.Module", top)


def _is_the_top(top: Any, transformer: Any, trained_layers: int) -> bool:
    """Put `Given` below the top layers, and see whether they do alone what they do in the whole transformer."""
    tokens = torch.tensor([[5, 6, 7]], device=next(transformer.parameters()).device)
    there = torch.ones_like(tokens)
    try:
        top.get_submodule("embeddings")
        top.embeddings = Given()
        with torch.inference_mode():
            of_whole = transformer.eval()(input_ids=tokens, attention_mask=there, output_hidden_states=True)
            below = of_whole.hidden_states[-1 - trained_layers]
            alone = top.eval()(inputs_embeds=below, attention_mask=there).last_hidden_state
    except (AttributeError, TypeError, RuntimeError):
        return False
    return bool(torch.allclose(alone, of_whole.last_hidden_state, atol=1e-4))


def whole(encoder: SentenceTransformer, tuned: TagEncoder) -> TagEncoder:
    """The encoder with the top layers of `tuned` in the place of its own, and the head of `tuned`."""
    path = _layers_path(encoder)
    transformer = copy.deepcopy(transformer_of(encoder))
    transformer.config.output_hidden_states = False
    layers, trained = (cast("nn.ModuleList", of.get_submodule(path)) for of in (transformer, tuned.transformer))
    for place, layer in enumerate(trained, start=len(layers) - len(trained)):
        layers[place] = layer
    return TagEncoder(transformer, tuned.head).eval()


def _layers_path(encoder: SentenceTransformer) -> str:
    layers = layers_of(encoder)
    return next(path for path, part in transformer_of(encoder).named_modules() if part is layers)


def lower_states(encoder: SentenceTransformer, texts: list[str], params: EmbedderParams, trained_layers: int) -> States:
    """Run the pre-trained encoder over n texts, as far as to the layers that will be trained."""
    device, transformer = device_of(params), transformer_of(encoder)
    tokens = tokenized(encoder.tokenizer, texts, params.max_tokens)
    lengths = np.array([len(ids) for ids in tokens])
    starts = np.cumsum(lengths) - lengths
    bfloat16 = uses_bfloat16(params)
    kind = torch.bfloat16 if bfloat16 else torch.float32
    values = torch.empty(int(lengths.sum()), transformer.config.hidden_size, dtype=kind)
    transformer.to(device).eval()
    with torch.autocast(device, torch.bfloat16, enabled=bfloat16), torch.inference_mode():
        for rows in _reported(of_like_length(lengths, params.encode_batch_size), "encoding"):
            padded = encoder.tokenizer.pad({"input_ids": [tokens[row] for row in rows]}, return_tensors="pt").to(device)
            hidden = transformer(**padded, output_hidden_states=True).hidden_states[-1 - trained_layers]  # (b, T, d)
            for row, own in zip(rows, hidden.cpu(), strict=True):
                values[starts[row] : starts[row] + lengths[row]] = own[: lengths[row]]
    return States(values, starts, lengths)


def tokenized(tokenizer: Any, texts: list[str], max_tokens: int) -> list[list[int]]:
    """The word pieces of each text, cut to what the encoder reads."""
    return list(tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"])


def tag_vectors(encoder: SentenceTransformer, said: list[str], params: EmbedderParams) -> np.ndarray:
    """Embeddings of what is said of t tags, (t, d) float32 of unit length, less what they all have in common."""
    device, transformer = device_of(params), transformer_of(encoder)
    transformer.to(device).eval()
    tokens = tokenized(encoder.tokenizer, said, params.max_tokens)
    vectors = np.empty((len(said), transformer.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for first in range(0, len(said), params.encode_batch_size):
            batch = {"input_ids": tokens[first : first + params.encode_batch_size]}
            padded = encoder.tokenizer.pad(batch, return_tensors="pt").to(device)
            states = transformer(**padded).last_hidden_state
            vectors[first : first + len(states)] = normalize(mean_state(states, padded["attention_mask"])).cpu().numpy()
    if len(said) > 1:
        vectors = vectors - vectors.mean(0)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def mean_state(states: Tensor, there: Tensor) -> Tensor:
    """The mean of (b, T, d) over the tokens that are there (b, T)."""
    weight = there[..., None].to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1)


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
    labels = torch.as_tensor(Y, dtype=torch.float32)  # (n, t)
    batches = [
        rows for epoch in range(params.epochs) for rows in _shuffled(states.lengths, params.batch_size, seed + epoch)
    ]
    for step, rows in enumerate(_reported(batches, "tuning the encoder on tags"), start=1):
        for group, rate in zip(optimizer.param_groups, rates.values(), strict=True):
            group["lr"] = rate * _slope(step / (len(batches) + 1))
        values, there = states.batch(rows, device)
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            logits = model(there, inputs_embeds=values)  # (b, t)
        total = loss(logits.float(), labels[rows].to(device), reduction="none").sum() / len(rows)
        if not math.isfinite(total.item()):
            raise MotagsError(
                f"the tag encoder's loss became {total.item()}: lower tagger.encoder.learning_rate (now "
                f"{params.learning_rate:g}) or set embedder.precision to float32"
            )
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
    return model.eval()


def _trained(part: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in part.parameters() if weight.requires_grad]


def _slope(progress: float) -> float:
    """A linear rise to 1, then a linear fall to 0; progress runs from 0 to 1."""
    return min(progress / WARMUP, (1 - progress) / (1 - WARMUP))


def logits_of(model: TagEncoder, states: States, embedder: EmbedderParams) -> np.ndarray:
    """Logits (n, t) float32 of n films from their states under the top layers."""
    device = device_of(embedder)
    batches = of_like_length(states.lengths, embedder.encode_batch_size)
    with torch.autocast(device, torch.bfloat16, enabled=uses_bfloat16(embedder)), torch.inference_mode():
        parts = []
        for rows in batches:
            values, there = states.batch(rows, device)
            parts.append(model(there, inputs_embeds=values).float().cpu().numpy())
    return np.concatenate(parts)[np.argsort(np.concatenate(batches))]


def of_like_length(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Rows in batches of like length, the longest first."""
    order = np.argsort(-lengths, kind="stable")
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


def _shuffled(lengths: np.ndarray, batch_size: int, seed: int) -> list[np.ndarray]:
    """Rows of one epoch in random batches of like length."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    batches: list[np.ndarray] = []
    for own in np.array_split(order, math.ceil(len(order) / (batch_size * BUCKET))):
        batches += np.array_split(own[np.argsort(lengths[own], kind="stable")], math.ceil(len(own) / batch_size))
    return [batches[i] for i in rng.permutation(len(batches))]


def _reported(batches: list[np.ndarray], what: str) -> Iterator[np.ndarray]:
    with Progress(what, len(batches), "batches") as progress:
        for batch in batches:
            yield batch
            progress.update()
