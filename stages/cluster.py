"""Split the films into clusters of like embeddings."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import read_arrays
from motags.dataset.corpus import Corpus
from motags.dataset.split import parts_of
from motags.paper.clusterer import Clusterer, ClustererParams
from motags.params import Seed
from motags.stage import run
from motags.tables import read_parquet


def cluster(
    films: Path, split: Path, embeddings: Path, clusterer_out: Path, *, clusterer: ClustererParams, seed: Seed
) -> None:
    corpus = Corpus.from_frame(read_parquet(films))
    train = parts_of(corpus, read_parquet(split))["train"]
    tuned = read_arrays(embeddings, corpus.digest)["tuned"]
    Clusterer(**clusterer.model_dump(), random_state=seed).fit(tuned[train]).save(clusterer_out)


if __name__ == "__main__":
    run(cluster)
