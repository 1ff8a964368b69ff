"""Score all films by the floors and by one network over all tags: the other rows of the ablation."""

from pathlib import Path

from motags.artifacts import read_arrays, write_arrays
from motags.baselines import constant, one_network, tfidf
from motags.corpus import Corpus
from motags.local_models import LocalModelsParams
from motags.regressions import WordsParams
from motags.stage import Seed, run
from motags.stratify import parts_of
from motags.tables import read_parquet


def baselines(
    films: Path, split: Path, embeddings: Path, scores_out: Path,
    *, baselines: WordsParams, local_models: LocalModelsParams, seed: Seed,
) -> None:  # fmt: skip
    corpus = Corpus.from_frame(read_parquet(films))
    rows = parts_of(corpus, read_parquet(split))["train"]
    X, train = read_arrays(embeddings, corpus.digest), corpus.part(rows)
    frozen, tuned = X["pretrained"], X["tuned"]
    scores = {
        "constant": constant(train.Y, len(corpus.ids)),
        "tfidf": tfidf(train.texts, train.Y, corpus.texts, baselines, seed),
        "bert": one_network(frozen[rows], train.Y, frozen, local_models, "none", seed),
        "bert_star": one_network(tuned[rows], train.Y, tuned, local_models, "none", seed),
        "bert_star_cb": one_network(tuned[rows], train.Y, tuned, local_models, local_models.balance, seed),
    }
    write_arrays(scores_out, scores, corpus.digest)


if __name__ == "__main__":
    run(baselines)
