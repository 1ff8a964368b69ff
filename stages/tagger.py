"""Train the tagger on the training and validation films; score the test films with it."""

from pathlib import Path

import environment  # noqa: F401
import numpy as np

from motags.artifacts import write_arrays
from motags.dataset.corpus import Corpus
from motags.dataset.facts import entries_of_frames
from motags.dataset.fuse import DatasetParams, kinds_of
from motags.dataset.split import parts_of
from motags.dataset.tag_vocabulary import read_descriptions
from motags.evidence.pictures import films_digest, read_vectors, with_pictures
from motags.evidence.pictures_params import PicturesParams
from motags.evidence.vector_files import with_vectors
from motags.films.text import TextRules
from motags.paper.embedder import EmbedderParams, load
from motags.params import Seed
from motags.stage import run
from motags.tables import read_parquet
from motags.tagger.tagger import Tagger
from motags.tagger.training import TaggerParams


def tagger(
    films: Path, facts: Path, vectors: Path, split: Path, descriptions: Path, pretrained: Path, image_encoder: Path,
    tagger_out: Path, scores_out: Path, *, dataset: DatasetParams, tagger: TaggerParams, embedder: EmbedderParams,
    pictures: PicturesParams, seed: Seed,
) -> None:  # fmt: skip
    frame = read_parquet(films)
    corpus = Corpus.from_frame(frame)
    test = parts_of(corpus, read_parquet(split))["test"]
    train = np.setdiff1d(np.arange(len(corpus.ids)), test)
    rules = TextRules.of(dataset, tagger.fields)
    entries = entries_of_frames(frame, read_parquet(facts), rules)
    entries = with_pictures(entries, *read_vectors(vectors, films_digest(corpus.ids)))
    entries, _ = with_vectors(entries, [Path(file) for file in tagger.vectors.files])
    sentences = dict(zip(corpus.tags, read_descriptions(descriptions, corpus.tags), strict=True))
    model = Tagger(tagger, embedder, seed, pictures).fit(
        [entries[row] for row in train], corpus.Y[train], tags=corpus.tags, descriptions=sentences,
        kinds=kinds_of(frame), encoder=load(pretrained), text_rules=rules, image_encoder=image_encoder,
    )  # fmt: skip
    model.save(tagger_out)
    scores = np.full(corpus.Y.shape, np.nan, dtype=np.float32)
    scores[test] = model.predict_proba([entries[row] for row in test])
    write_arrays(scores_out, {"motags": scores, "motags_thresholds": model.thresholds_}, corpus.digest)


if __name__ == "__main__":
    run(tagger)
