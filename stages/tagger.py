"""Train the tagger on the training and validation films; score the test films with it."""

from pathlib import Path

import numpy as np

from motags.artifacts import read_parquet, write_arrays
from motags.corpus import Corpus
from motags.embedder import EmbedderParams, load
from motags.stage import run
from motags.stratify import parts_of
from motags.tagger import Tagger, TaggerParams
from motags.vocabulary import read_descriptions


def tagger(
    films: Path, split: Path, descriptions: Path, pretrained: Path, tagger_out: Path, scores_out: Path,
    *, tagger: TaggerParams, embedder: EmbedderParams, seed: int,
) -> None:  # fmt: skip
    corpus = Corpus.from_frame(read_parquet(films))
    test = parts_of(corpus, read_parquet(split))["test"]
    known = corpus.part(np.setdiff1d(np.arange(len(corpus.ids)), test))
    said = read_descriptions(descriptions, corpus.tags)
    fitted = Tagger(tagger, embedder, seed).fit(load(pretrained), known.texts, known.Y, corpus.tags, said)
    fitted.save(tagger_out)
    scores = np.full(corpus.Y.shape, np.nan, dtype=np.float32)
    scores[test] = fitted.predict_proba(corpus.part(test).texts)
    write_arrays(scores_out, {"motags": scores, "motags_thresholds": fitted.thresholds_}, corpus.digest)


if __name__ == "__main__":
    run(tagger)
