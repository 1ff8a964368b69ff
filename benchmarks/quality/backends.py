"""What the backends of a saved tagger cost in quality: F1 on the test films in float32 and in int8, beside PyTorch.

    python benchmarks/quality/backends.py ../shared/real/motags.jsonl.gz --out results/backends

The tagger is trained as in peers.py, on the training and validation films of a split, and saved under --out.
"""

import argparse
import logging
import time
from pathlib import Path
from typing import get_args

import numpy as np

from motags.evaluation.metrics import f1_per_tag, micro_f1
from motags.evidence.onnx_encoder import Backend
from motags.tagger.tagger import Tagger
from peers import Bench

log = logging.getLogger("backends")


def trained(bench: Bench, folder: Path, seed: int) -> None:
    """Train and save the tagger on the films of a split that are no test films."""
    rows = bench.rows(seed)
    known = bench.corpus.part(np.sort(np.concatenate([rows["train"], rows["validation"]])))
    tagger = Tagger(bench.params["tagger"], bench.params["embedder"], seed)
    descriptions = dict(zip(known.tags, bench.descriptions, strict=True))
    started = time.perf_counter()
    tagger.fit(known.texts, known.Y, tags=known.tags, descriptions=descriptions, ids=known.ids, titles=known.titles)
    log.info("trained in %.0f s", time.perf_counter() - started)
    tagger.save(folder)


def main() -> None:
    """Train once, then print a row a backend."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    bench = Bench.of_films(arguments.catalogue, arguments.out)
    folder = bench.out / f"tagger-{arguments.seed}"
    if not folder.exists():
        trained(bench, folder, arguments.seed)
    test = bench.corpus.part(bench.rows(arguments.seed)["test"])
    print("| backend | micro F1 | macro F1 | largest difference of a score to torch |\n| --- | --: | --: | --: |")
    expected = Tagger.load(folder, "torch").predict_proba(test.texts)
    for backend in reversed(get_args(Backend)):
        tagger = Tagger.load(folder, backend)
        S = tagger.predict_proba(test.texts)
        P = tagger.thresholds_ <= S
        row = micro_f1(test.Y, P), f1_per_tag(test.Y, P).mean(), np.abs(S - expected).max()
        print(f"| {backend} | {row[0]:.4f} | {row[1]:.4f} | {row[2]:.1e} |", flush=True)


if __name__ == "__main__":
    main()
