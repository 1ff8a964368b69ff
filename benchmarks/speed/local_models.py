"""All local models as one batched product, beside one network after the other and beside processes.

    python benchmarks/speed/local_models.py [--films 3333] [--clusters 20]

Random films of the real shape (384 dimensions, 85 tags, 3 tags a film). The alternatives train the same
networks on the same films for the same number of steps; joblib gives each process one thread.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

from motags.paper.local_models import LocalModels, LocalModelsParams
from motags.params import PARAMS, read_params

ROOT = Path(__file__).resolve().parents[2]


def fit_one(params: LocalModelsParams, X: np.ndarray, Y: np.ndarray, threads: int) -> LocalModels:
    """Train the network of a single cluster."""
    torch.set_num_threads(threads)
    return LocalModels(params, 0).fit(X, Y, np.zeros(len(X), dtype=np.int64))


def main() -> None:
    """Print seconds and ratios, the three taken in turn, three times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=3333)
    parser.add_argument("--clusters", type=int, default=20)
    arguments = parser.parse_args()
    params = read_params(ROOT / PARAMS, {"local_models": LocalModelsParams})["local_models"]
    threads = torch.get_num_threads()
    rng = np.random.default_rng(0)
    clusters = rng.permutation(np.arange(arguments.films) % arguments.clusters)  # the same steps for all
    X = rng.standard_normal((arguments.films, 384), dtype=np.float32)
    Y = rng.random((arguments.films, 85)) < 3 / 85
    parts = [(X[clusters == c], Y[clusters == c]) for c in range(arguments.clusters)]
    ways: dict[str, Callable[[], object]] = {
        "batched": lambda: LocalModels(params, 0).fit(X, Y, clusters),
        "one by one": lambda: [fit_one(params, *part, threads) for part in parts],
        "joblib": lambda: Parallel(n_jobs=threads)(delayed(fit_one)(params, *part, 1) for part in parts),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            torch.set_num_threads(threads)
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    batched = float(np.median(seconds["batched"]))
    for name, taken in seconds.items():
        middle = float(np.median(taken))
        print(f"{name:12} {middle:7.1f} s  {middle / batched:5.2f} times batched")


if __name__ == "__main__":
    main()
