"""Section `pictures` of params.yaml; apart from the encoders, so that reading pictures needs no training stack."""

from typing import Annotated

from pydantic import Field

from motags.params import Params


class PicturesParams(Params):
    """Section `pictures` of params.yaml."""

    model: Annotated[str, Field(min_length=1)]
    revisions: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{40}$")]]
    size: Annotated[int, Field(ge=32, le=1024)]
    trailer_frames: Annotated[int, Field(ge=1, le=256)]
