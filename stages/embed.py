"""Embed every film with the pre-trained and with the tuned encoder."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import write_arrays
from motags.dataset.corpus import Corpus
from motags.paper.embedder import EmbedderParams, encode, load
from motags.stage import run
from motags.tables import read_parquet


def embed(films: Path, pretrained: Path, tuned: Path, embeddings_out: Path, *, embedder: EmbedderParams) -> None:
    corpus = Corpus.from_frame(read_parquet(films))
    encoders = {"pretrained": load(pretrained), "tuned": load(tuned)}
    embeddings = {name: encode(encoder, corpus.texts, embedder) for name, encoder in encoders.items()}
    write_arrays(embeddings_out, embeddings, corpus.digest)


if __name__ == "__main__":
    run(embed)
