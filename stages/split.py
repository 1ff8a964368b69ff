"""Split the films into train, validation and test, stratified by their tags."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import write_json
from motags.dataset.corpus import Corpus
from motags.dataset.split import SplitParams, deviation, part_frame
from motags.dataset.split import split as draw
from motags.params import Seed
from motags.stage import run
from motags.tables import read_parquet, write_parquet


def split(films: Path, split_out: Path, metrics_out: Path, *, split: SplitParams, seed: Seed) -> None:
    corpus = Corpus.from_frame(read_parquet(films))
    part = draw(corpus, split, seed)
    write_parquet(split_out, part_frame(corpus, part))
    write_json(metrics_out, deviation(corpus, part, split.test))


if __name__ == "__main__":
    run(split)
