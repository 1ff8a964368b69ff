"""Fuse the films into the data set: one text and one set of normalised tags a film."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import checked, write_json
from motags.dataset.facts import facts_frame
from motags.dataset.fuse import DatasetParams, fuse, long_tail, statistics
from motags.dataset.tag_vocabulary import read_synonyms
from motags.films.catalogue import read_films
from motags.stage import run
from motags.tables import write_csv, write_parquet


def dataset(
    catalogue: Path, synonyms: Path, films_out: Path, facts_out: Path, metrics_out: Path, long_tail_out: Path,
    *, dataset: DatasetParams,
) -> None:  # fmt: skip
    records = list(read_films(checked(catalogue)))
    films, dropped = fuse(records, read_synonyms(synonyms), dataset)
    write_parquet(films_out, films)
    write_parquet(facts_out, facts_frame(records, list(films["id"])))
    write_json(metrics_out, statistics(films, dropped))
    write_csv(long_tail_out, long_tail(films))


if __name__ == "__main__":
    run(dataset)
