"""Train the local models of all clusters, with the Class-Balanced loss and, for the ablation, without."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import read_arrays, write_arrays, write_json
from motags.dataset.corpus import Corpus
from motags.dataset.split import parts_of
from motags.paper.clusterer import Clusterer, cluster_summary, cluster_table
from motags.paper.local_models import LocalModels, LocalModelsParams
from motags.params import Seed
from motags.stage import run
from motags.tables import read_parquet, write_csv


def train(
    films: Path, split: Path, embeddings: Path, clusterer: Path, models_out: Path, scores_out: Path,
    metrics_out: Path, table_out: Path, *, local_models: LocalModelsParams, seed: Seed,
) -> None:  # fmt: skip
    corpus = Corpus.from_frame(read_parquet(films))
    parts = parts_of(corpus, read_parquet(split))
    X, kmeans = read_arrays(embeddings, corpus.digest)["tuned"], Clusterer.load(clusterer)
    clusters, rows = kmeans.predict(X), parts["train"]
    plain, balanced = (
        LocalModels(params, seed).fit(X[rows], corpus.Y[rows], clusters[rows])
        for params in (local_models.model_copy(update={"balance": "none"}), local_models)
    )
    balanced.save(models_out)
    write_arrays(scores_out, {"bert_star_clusters": plain.predict_proba(X, clusters)}, corpus.digest)
    write_json(metrics_out, cluster_summary(kmeans, clusters, balanced.tags_, corpus.Y, parts))
    write_csv(table_out, cluster_table(clusters[rows], balanced.tags_, corpus.tags))


if __name__ == "__main__":
    run(train)
