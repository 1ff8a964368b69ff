"""motags: rich tags for film catalogues, learned from the films that experts have tagged."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motags.tagger.tagger import Tagger

__all__ = ["Tagger"]


def __getattr__(name: str) -> Any:
    if name != "Tagger":
        raise AttributeError(f"module 'motags' has no attribute {name!r}")
    from motags.tagger.tagger import Tagger  # noqa: PLC0415, the commands that need none start at once

    return Tagger
