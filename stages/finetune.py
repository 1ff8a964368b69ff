"""Fine-tune the encoder on semi-hard triplets of training films."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import write_json
from motags.dataset.corpus import Corpus
from motags.dataset.split import parts_of
from motags.paper.embedder import EmbedderParams, load, save
from motags.paper.finetuning import finetune as fit
from motags.paper.finetuning import forget, loss_curve, summary
from motags.params import Seed
from motags.stage import run
from motags.tables import read_parquet, write_csv


def finetune(
    films: Path, split: Path, pretrained: Path, encoder_out: Path, metrics_out: Path, curve_out: Path,
    checkpoint: Path, *, embedder: EmbedderParams, seed: Seed,
) -> None:  # fmt: skip
    corpus = Corpus.from_frame(read_parquet(films))
    train = corpus.part(parts_of(corpus, read_parquet(split))["train"])
    encoder = load(pretrained)
    steps = fit(encoder, train.texts, train.Y, embedder, seed, checkpoint)
    save(encoder, encoder_out)
    write_json(metrics_out, summary(steps))
    write_csv(curve_out, loss_curve(steps))
    forget(checkpoint)


if __name__ == "__main__":
    run(finetune)
