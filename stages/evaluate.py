"""Score every method on the test films; thresholds are the method's own or come from the validation films."""

from pathlib import Path

from motags.artifacts import read_arrays, write_json
from motags.clusterer import Clusterer
from motags.corpus import Corpus
from motags.evaluation import evaluate as score
from motags.evaluation import film_map
from motags.metrics import EvaluateParams
from motags.stage import Seed, run
from motags.stratify import parts_of
from motags.tables import read_parquet, write_csv


def evaluate(
    films: Path, split: Path, embeddings: Path, clusterer: Path, baselines: Path, local: Path, motags: Path,
    metrics_out: Path, tags_out: Path, curves_out: Path, map_out: Path, *, evaluate: EvaluateParams, seed: Seed,
) -> None:  # fmt: skip
    corpus = Corpus.from_frame(read_parquet(films))
    parts = parts_of(corpus, read_parquet(split))
    scores = (
        read_arrays(baselines, corpus.digest) | read_arrays(local, corpus.digest) | read_arrays(motags, corpus.digest)
    )
    metrics, tags, curves = score(corpus, parts, scores, evaluate, seed)
    write_json(metrics_out, metrics)
    write_csv(tags_out, tags)
    write_csv(curves_out, curves)
    X = read_arrays(embeddings, corpus.digest)["tuned"]
    write_csv(map_out, film_map(corpus, X, Clusterer.load(clusterer).predict(X), parts["test"], seed))


if __name__ == "__main__":
    run(evaluate)
