"""Fine-tuning: one forward pass per batch for all triplets, beside sentence-transformers' TripletLoss.

    python benchmarks/speed/finetune.py [--catalogue FILE] [--films 320] [--encoder bert-base] [--device cuda]

Prints seconds for one pass over the films, the median of three rounds after one to warm up: ours as params.yaml has it;
ours with no layer frozen; and `TripletLoss` on one random triplet per film, which embeds anchor, positive and negative
in three passes, in random order and with no layer frozen. `--encoder bert-base` takes random weights of BERT-base's
shape: good for timing only.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import TripletLoss
from transformers import BertConfig, BertModel

from motags.dataset.corpus import Corpus
from motags.dataset.fuse import DatasetParams, fuse
from motags.dataset.tag_vocabulary import read_synonyms
from motags.films.catalogue import read_catalogue
from motags.paper.embedder import PACKAGED_MODEL, EmbedderParams, device_of, pretrained, uses_bfloat16
from motags.paper.finetuning import finetune
from motags.params import PARAMS, read_params

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3


def bert_base(folder: Path, small: SentenceTransformer) -> str:
    """A BERT of 12 layers and 768 dimensions with random weights and the tokenizer of a small one."""
    BertModel(BertConfig()).save_pretrained(folder)
    small.tokenizer.save_pretrained(folder)
    return str(folder)


def ours(corpus: Corpus, params: EmbedderParams) -> float:
    """Seconds of one epoch of `finetune`, the encoder's loading aside."""
    encoder = pretrained(params)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        finetune(encoder, corpus.texts, corpus.Y, params, 0, Path(folder) / "checkpoint")
        return time.perf_counter() - started


def triplet_loss(corpus: Corpus, params: EmbedderParams) -> float:
    """Seconds of sentence-transformers' TripletLoss over as many random triplets as there are films."""
    device = device_of(params)
    encoder = pretrained(params).to(device).train()
    loss = TripletLoss(encoder, triplet_margin=params.margin)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=params.learning_rate, fused=True)
    rng = np.random.default_rng(0)
    n, b = len(corpus.texts), params.batch_size
    started = time.perf_counter()
    for _ in range(n // b):
        columns = [[corpus.texts[i] for i in rng.choice(n, b)] for _ in range(3)]
        features = [encoder.preprocess(column) for column in columns]
        on_device = [{k: v.to(device) if torch.is_tensor(v) else v for k, v in f.items()} for f in features]
        with torch.autocast(device, torch.bfloat16, enabled=uses_bfloat16(params)):
            value = loss(on_device, None)
        value.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, default=ROOT / "data/sample/films.jsonl")
    parser.add_argument("--films", type=int, default=320)
    parser.add_argument("--encoder", choices=[PACKAGED_MODEL, "bert-base"], default=PACKAGED_MODEL)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    read = read_params(ROOT / PARAMS, {"dataset": DatasetParams, "embedder": EmbedderParams})
    films, _ = read_catalogue(arguments.catalogue, 1.0)
    corpus = Corpus.from_frame(fuse(films, read_synonyms(ROOT / "data/synonyms.csv"), read["dataset"])[0])
    rows = np.random.default_rng(0).permutation(len(corpus.ids))[: arguments.films]
    corpus = corpus.part(rows)
    params = read["embedder"].model_copy(update={"epochs": 1, "device": arguments.device})
    with tempfile.TemporaryDirectory() as folder:
        if arguments.encoder == "bert-base":
            params = params.model_copy(update={"model": bert_base(Path(folder), pretrained(params))})
        whole = params.model_copy(update={"frozen_layers": 0})
        ways: dict[str, Callable[[], float]] = {
            "ours": lambda: ours(corpus, params),
            "ours, none frozen": lambda: ours(corpus, whole),
            "TripletLoss": lambda: triplet_loss(corpus, whole),
        }
        rounds = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS + 1)][1:]
    seconds = {name: float(np.median([taken[name] for taken in rounds])) for name in ways}
    precision = "bfloat16" if uses_bfloat16(params) else "float32"
    print(f"{len(rows)} films, {arguments.encoder}, {device_of(params)}, {precision}")
    for name, taken in seconds.items():
        print(f"{name:28} {taken:7.1f} s  {taken / seconds['ours']:5.2f} times ours")


if __name__ == "__main__":
    main()
