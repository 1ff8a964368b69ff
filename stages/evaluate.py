"""Score every method on the test films; thresholds are the method's own or come from the validation films."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import read_arrays, write_json
from motags.dataset.corpus import Corpus
from motags.dataset.split import parts_of
from motags.evaluation.metrics import EvaluateParams
from motags.evaluation.report import evaluate as score
from motags.evaluation.report import film_map
from motags.paper.clusterer import Clusterer
from motags.paper.local_models import LocalModels
from motags.params import Seed
from motags.stage import run
from motags.tables import read_parquet, write_csv


def evaluate(
    films: Path, split: Path, embeddings: Path, clusterer: Path, local_models: Path, baseline_scores: Path,
    cluster_scores: Path, motags_scores: Path, metrics_out: Path, tags_out: Path, curves_out: Path, map_out: Path,
    *, evaluate: EvaluateParams, seed: Seed,
) -> None:  # fmt: skip
    corpus = Corpus.from_frame(read_parquet(films))
    parts = parts_of(corpus, read_parquet(split))
    X = read_arrays(embeddings, corpus.digest)["tuned"]
    clusters = Clusterer.load(clusterer).predict(X)
    paths = (baseline_scores, cluster_scores, motags_scores)
    scores = {name: S for path in paths for name, S in read_arrays(path, corpus.digest).items()}
    scores["ours"] = LocalModels.load(local_models).predict_proba(X, clusters)
    metrics, tags, curves = score(corpus, parts, scores, evaluate, seed)
    write_json(metrics_out, metrics)
    write_csv(tags_out, tags)
    write_csv(curves_out, curves)
    write_csv(map_out, film_map(corpus, X, clusters, parts["test"], seed))


if __name__ == "__main__":
    run(evaluate)
