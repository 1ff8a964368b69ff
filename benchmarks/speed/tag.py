"""How fast a saved tagger is, from text to tags, beside a plain encoder with a regression a tag.

    python benchmarks/speed/tag.py ../shared/real/motags.jsonl.gz models/tagger [--films 500] [--threads 2] [--rounds 5]

Each backend is timed in turn with its rival, in pairs, on the same texts: `SentenceTransformer.encode` (the encoder
that the tagger began with, float32, all defaults) and scikit-learn's `predict_proba` of a one-vs-rest logistic
regression. Medians of all rounds. Last, a cold shell: `motags tag` on a file of a single film.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from motags.batch.job import Job
from motags.evidence.onnx_encoder import Backend
from motags.paper.embedder import EmbedderParams, pretrained
from motags.params import PARAMS, read_params
from motags.tagger.tagger import Tagger

ROOT = Path(__file__).resolve().parents[2]
MOTAGS = Path(sys.executable).parent / "motags"
BACKENDS: tuple[Backend, ...] = ("int8", "float32", "torch")
FITTED = 600  # films that the rival's regression is fitted on: it takes no longer to answer after more
SINGLE = 20  # films, one by one, for the first answer

Way = Callable[[list[str]], object]


def rival(known: Tagger) -> Way:
    """A plain encoder and a regression a tag, fitted on some training films of the tagger."""
    encoder = pretrained(read_params(ROOT / PARAMS, {"embedder": EmbedderParams})["embedder"])
    X, Y = known.films_.embeddings[:FITTED], known.films_.Y[:FITTED]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a tag that none of these films bears
        regression = OneVsRestClassifier(LogisticRegression(max_iter=200)).fit(X, Y)
    return lambda texts: regression.predict_proba(encoder.encode(texts, show_progress_bar=False))


def seconds(way: Way, texts: list[str]) -> float:
    """How long a way takes."""
    started = time.perf_counter()
    way(texts)
    return time.perf_counter() - started


def first_answer(way: Way, texts: list[str]) -> float:
    """Seconds of a single film, the median of some."""
    return statistics.median(seconds(way, [text]) for text in texts[:SINGLE])


def cold(model: Path, text: str) -> float:
    """Seconds from a shell to the tags of a single film."""
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.jsonl"
        film.write_text(json.dumps({"id": "a", "title": "A", "text": text}) + "\n", encoding="utf-8")
        return seconds(
            lambda _: subprocess.run([MOTAGS, "tag", film, "--model", model], check=True, capture_output=True), []
        )


def main() -> None:
    """Print films a second, first answers and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--films", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.threads])
    torch.set_num_threads(given.threads)
    told = (
        film.text for chunk in Job(given.catalogue, max_set_aside=1.0).chunks() for film in chunk.films if film.text
    )
    texts = list(itertools.islice(told, given.films))
    taggers = {backend: Tagger.load(given.model, backend=backend, threads=given.threads) for backend in BACKENDS}
    plain = rival(taggers["int8"])
    for way in (plain, *(tagger.tag for tagger in taggers.values())):
        way(texts[:64])
    words = statistics.mean(len(text.split()) for text in texts)
    print(f"{len(texts)} films of {words:.0f} words, {given.threads} threads, {given.rounds} rounds\n")
    print(
        "| | films a second | beside the rival | first answer, ms | beside the rival |\n| --- | --: | --: | --: | --: |"
    )
    rivals: list[tuple[float, float]] = []
    for backend, tagger in taggers.items():
        pairs = [
            tuple((seconds(way, texts), first_answer(way, texts)) for way in (tagger.tag, plain))
            for _ in range(given.rounds)
        ]
        rivals += [other for _, other in pairs]
        row(backend, [own for own, _ in pairs], len(texts), [other for _, other in pairs])
    row("the rival", rivals, len(texts), rivals)
    taken = statistics.median(cold(given.model, texts[0]) for _ in range(given.rounds))
    print(f"\nfrom a cold shell to the first tags: {taken:.2f} s")


def row(name: str, own: list[tuple[float, float]], films: int, rival: list[tuple[float, float]]) -> None:
    """Print the medians of a way's (all films, first answer) seconds, and of its ratios to the rival."""
    all_films, first = (statistics.median(times) for times in zip(*own, strict=True))
    faster, sooner = (
        statistics.median(theirs[j] / ours[j] for ours, theirs in zip(own, rival, strict=True)) for j in (0, 1)
    )
    print(f"| {name} | {films / all_films:.0f} | {faster:.2f} | {1000 * first:.1f} | {sooner:.2f} |")


if __name__ == "__main__":
    main()
