"""How many posters a second are encoded: `python benchmarks/speed/pictures.py ../shared/real/posters`.

Reading alone, then reading and encoding on onnxruntime with one and two threads, then in PyTorch's eager mode. Rounds
alternate, and what counts is the median: by the clock, and by the processor's time, which other work on the machine
moves less. At least 25 a second are asked for on two cores.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from motags.evidence.image_encoder import PretrainedImageEncoder, pretrained, save
from motags.evidence.picture_files import read_picture
from motags.evidence.pictures import ImageEncoder
from motags.evidence.pictures_params import PicturesParams

LEAST = 25.0


def eager(encoder: PretrainedImageEncoder, paths: list[Path]) -> None:
    """Encode posters one by one in PyTorch, on one thread."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        for path in paths:
            encoder.network(torch.from_numpy(read_picture(path, encoder.takes))[None])


def on_threads(work: Callable[[Path], object], threads: int, paths: list[Path]) -> None:
    """Do some work on every path, on threads."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, paths))


def seconds(work: Callable[[list[Path]], None], paths: list[Path]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work(paths)
    return time.perf_counter() - clock, time.process_time() - processor


def main(posters: Path, count: int, rounds: int) -> None:
    """Measure, print a row a way, and leave with 1 where two threads are too slow."""
    paths = sorted(posters.iterdir())[:count]
    network = pretrained(PicturesParams(model="efficientnet-lite2", revisions={}, size=224, trailer_frames=8))
    with tempfile.TemporaryDirectory() as name:
        save(network, Path(name) / "encoder")
        encoder = ImageEncoder(Path(name) / "encoder", threads=1)
    ways: dict[str, tuple[Callable[[list[Path]], None], list[Path]]] = {
        "reading alone": (lambda own: on_threads(lambda path: read_picture(path, encoder.takes), 1, own), paths),
        "onnxruntime, one thread": (lambda own: on_threads(encoder.poster_vector, 1, own), paths),
        "onnxruntime, two threads": (lambda own: on_threads(encoder.poster_vector, 2, own), paths),
        "PyTorch eager, one thread": (lambda own: eager(network, own), paths[: max(count // 10, 1)]),
    }
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (work, own) in ways.items():
            taken[way].append(seconds(work, own))
    print(f"{len(paths)} posters, {rounds} rounds, load of the machine {os.getloadavg()[0]:.2f}\n")
    print("| way | a second | a second of the processor |\n|---|--:|--:|")
    rates = {}
    for way, (_, own) in ways.items():
        rates[way], processor = (len(own) / statistics.median(times) for times in zip(*taken[way], strict=True))
        print(f"| {way} | {rates[way]:.0f} | {processor:.0f} |")
    sys.exit(rates["onnxruntime, two threads"] < LEAST)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("posters", type=Path)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    main(args.posters, args.pictures, args.rounds)
