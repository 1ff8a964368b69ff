"""Pairs of a film and a tag that the catalogue does not give it but motags does, for a reader to judge.

    python benchmarks/quality/missing_tags.py ../shared/real/motags.jsonl.gz pairs.csv

The scores are those of the tagger's own cross-fitting on the training and validation films of a seed: no test film,
and no score by a model that has seen the film. Three groups of pairs are drawn: `top`, those with the highest scores
that are not given; `random`, of all others that are not given and reach their tag's threshold; `given`, of all that
are given, which show how strict the reader is. They stand in random order; a reader who is shown the film's text and
the tag alone does not know the group.

missing_tags.csv beside this file holds the verdicts on the pairs that were drawn so (with two trained layers) and on
130 more; docs/results.md says what follows from them.
"""

import argparse
import csv
import logging
from pathlib import Path

import numpy as np

from motags.artifacts import replacing
from motags.tagger.tagger import Tagger
from peers import Bench

COLUMNS = ["film_id", "tag", "score", "group", "verdict", "reason"]
SIZES = {"top": 50, "random": 50, "given": 30}

log = logging.getLogger("missing_tags")


def drawn(scores: np.ndarray, thresholds: np.ndarray, Y: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Flat places of the pairs of each group.

    Args:
        scores: (n, t) float32; thresholds: (t,) float32; Y: (n, t) bool, what the catalogue gives.
    """
    rng = np.random.default_rng(seed)
    missing = np.flatnonzero(~Y & (scores >= thresholds))
    missing = missing[np.argsort(-scores.ravel()[missing], kind="stable")]
    log.info("%d pairs given, %d predicted, %d of these not given", Y.sum(), (scores >= thresholds).sum(), len(missing))
    top, others = missing[: SIZES["top"]], missing[SIZES["top"] :]
    random = rng.choice(others, min(SIZES["random"], len(others)), replace=False)
    given = rng.choice(np.flatnonzero(Y), SIZES["given"], replace=False)
    return {"top": top, "random": random, "given": given}


def main() -> None:
    """Train motags, draw the pairs, and write them with two empty columns for the reader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("out", type=Path, help="CSV file")
    parser.add_argument("--seed", type=int, default=42, help="of the split, the training and the draw")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    bench, seed = Bench.of_films(arguments.catalogue, arguments.out.parent), arguments.seed
    rows = bench.rows(seed)
    known = bench.corpus.part(np.sort(np.concatenate([rows["train"], rows["validation"]])))
    tagger = Tagger(bench.params["tagger"], bench.params["embedder"], seed)
    descriptions = dict(zip(known.tags, bench.descriptions, strict=True))
    films = tagger.fit(known.texts, known.Y, tags=known.tags, descriptions=descriptions, ids=known.ids).films_
    groups = drawn(films.out_of_fold, tagger.thresholds_, films.Y, seed)
    pairs = [(place, group) for group, places in groups.items() for place in places]
    with replacing(arguments.out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number in np.random.default_rng(seed + 1).permutation(len(pairs)):
            place, group = pairs[number]
            i, j = divmod(int(place), len(known.tags))
            writer.writerow([films.ids[i], known.tags[j], f"{films.out_of_fold[i, j]:.3f}", group, "", ""])


if __name__ == "__main__":
    main()
