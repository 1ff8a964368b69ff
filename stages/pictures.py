"""Look at the posters and trailers of the films: a vector of each; what was seen before is kept in a store."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import write_json
from motags.evidence.pictures import (
    film_pictures,
    films_digest,
    picture_counts,
    vectors_of_catalogue,
    write_vectors,
)
from motags.evidence.pictures_params import PicturesParams
from motags.stage import run
from motags.tables import read_parquet


def pictures(
    facts: Path, image_encoder: Path, vectors_out: Path, metrics_out: Path, store: Path,
    *, pictures: PicturesParams, threads: int,
) -> None:  # fmt: skip
    frame = read_parquet(facts)
    seen = vectors_of_catalogue(film_pictures(frame), image_encoder, store, pictures.trailer_frames, threads)
    write_vectors(vectors_out, seen, films_digest(frame["id"]))
    write_json(metrics_out, picture_counts(seen))


if __name__ == "__main__":
    run(pictures)
