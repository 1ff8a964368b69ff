"""Score all films by the floors and by one network over all tags: the other rows of the ablation."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import read_arrays, write_arrays
from motags.dataset.corpus import Corpus
from motags.dataset.split import parts_of
from motags.evaluation.baselines import constant, one_network, tfidf_regression
from motags.evidence.words_training import WordsParams
from motags.paper.local_models import LocalModelsParams
from motags.params import Seed
from motags.stage import run
from motags.tables import read_parquet


def baselines(
    films: Path, split: Path, embeddings: Path, scores_out: Path,
    *, local_models: LocalModelsParams, seed: Seed, tfidf: WordsParams,
) -> None:  # fmt: skip
    corpus = Corpus.from_frame(read_parquet(films))
    rows = parts_of(corpus, read_parquet(split))["train"]
    X, train = read_arrays(embeddings, corpus.digest), corpus.part(rows)
    frozen, tuned = X["pretrained"], X["tuned"]
    scores = {
        "constant": constant(train.Y, len(corpus.ids)),
        "tfidf": tfidf_regression(train.texts, train.Y, corpus.texts, tfidf, seed),
        "bert": one_network(frozen[rows], train.Y, frozen, local_models, "none", seed),
        "bert_star": one_network(tuned[rows], train.Y, tuned, local_models, "none", seed),
        "bert_star_cb": one_network(tuned[rows], train.Y, tuned, local_models, local_models.balance, seed),
    }
    write_arrays(scores_out, scores, corpus.digest)


if __name__ == "__main__":
    run(baselines)
