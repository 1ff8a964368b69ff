"""The encoder tuned on the tags themselves: each tag looks in a text for the words that speak for it."""

import copy
from typing import Any, cast

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize

from motags.errors import MotagsError
from motags.paper.embedder import EmbedderParams, device_of, layers_of

SHARPNESS = 15.0  # of the attention at the start: a tag reads the few words nearest to it
SCALE = 8.0  # of the logits at the start


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

    def forward(self, states: Tensor, there: Tensor, tags: Tensor | None = None) -> Tensor:
        """Logits (b, t) of states (b, T, d), and which of them are there (b, T); of some `tags` (u,) only, (b, u)."""
        learned: tuple[Tensor, ...] = (self.weight, self.query, self.bias)
        weight, query, bias = learned if tags is None else (part[tags] for part in learned)
        whole = normalize(mean_state(states, there), dim=-1)  # (b, d)
        words = normalize(states, dim=-1)  # (b, T, d)
        absent = there[..., None] == 0
        attention = (self.sharpness * words @ query.T).masked_fill(absent, -torch.inf).softmax(1)  # (b, T, t)
        said = (attention * (words @ weight.T)).sum(1)  # (b, t)
        return self.scale * (self.dropout(whole) @ weight.T + self.share * said) + bias


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

    def forward(self, attention_mask: Tensor, tags: Tensor | None = None, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, t), or of some `tags` only, and embeddings (b, d) of unit length, the mean over the tokens.

        `inputs` are those of the transformer: `input_ids`, or `inputs_embeds` for top layers.
        """
        states = self.transformer(attention_mask=attention_mask, **inputs).last_hidden_state.float()
        logits = self.head(states, attention_mask, *([] if tags is None else [tags]))
        return logits, normalize(mean_state(states, attention_mask), dim=-1)


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


def lower_layers(encoder: SentenceTransformer, trained_layers: int) -> nn.Module:
    """A copy of the encoder's transformer as far as to the first of the layers that are trained.

    With `output_hidden_states` its last state but one is what enters that layer, whatever stands behind the layers.
    """
    path = _layers_path(encoder)
    parent, _, name = path.rpartition(".")
    lower = copy.deepcopy(transformer_of(encoder))
    layers = cast("nn.ModuleList", lower.get_submodule(path))
    setattr(lower.get_submodule(parent), name, layers[: len(layers) - trained_layers + 1])
    return cast("nn.Module", lower)


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


def mean_of(encoders: list[TagEncoder]) -> TagEncoder:
    """The mean of encoders that were tuned from one start on parts of the films (Wortsman et al. 2022: a soup)."""
    weights = [encoder.state_dict() for encoder in encoders]
    mean = copy.deepcopy(encoders[0])
    mean.load_state_dict({name: torch.stack([each[name] for each in weights]).mean(0) for name in weights[0]})
    return mean


def _layers_path(encoder: SentenceTransformer) -> str:
    layers = layers_of(encoder)
    return next(path for path, part in transformer_of(encoder).named_modules() if part is layers)


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
