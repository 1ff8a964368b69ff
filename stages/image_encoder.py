"""Get the pre-trained image encoder, as a graph that maps a picture to a vector."""

from pathlib import Path

import environment  # noqa: F401

from motags.evidence.image_encoder import pretrained, save
from motags.evidence.pictures_params import PicturesParams
from motags.stage import run


def image_encoder(encoder_out: Path, *, pictures: PicturesParams) -> None:
    save(pretrained(pictures), encoder_out)


if __name__ == "__main__":
    run(image_encoder)
