"""Get the pre-trained encoder and give it its pooling: the mean of the last four layers."""

from pathlib import Path

import environment  # noqa: F401

from motags.paper.embedder import EmbedderParams, pretrained, save
from motags.stage import run


def encoder(encoder_out: Path, *, embedder: EmbedderParams) -> None:
    save(pretrained(embedder), encoder_out)


if __name__ == "__main__":
    run(encoder)
