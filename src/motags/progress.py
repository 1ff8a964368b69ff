"""Progress of long work: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Self, TypeVar

from tqdm import tqdm

EVERY = 30.0  # seconds between lines in a log

Item = TypeVar("Item")

log = logging.getLogger(__name__)


class Progress:
    """How far some work is, with the time left; `total` items of a `unit`."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self.what, self.total, self.unit = what, total, unit
        self._bar = tqdm(total=total, desc=what, unit=unit, disable=None, leave=False, file=sys.stderr)
        self._done, self._started = 0, time.monotonic()
        self._said = self._started

    def update(self, n: int = 1) -> None:
        """Say that `n` more are done."""
        self._done += n
        self._bar.update(n)
        now = time.monotonic()
        if self._bar.disable and now - self._said >= EVERY:
            self._said = now
            log.info("%s: %s", self.what, self._line(now - self._started))

    def _line(self, seconds: float) -> str:
        if not self.total:
            return f"{self._done:,} {self.unit}"
        left = seconds / max(self._done, 1) * (self.total - self._done)
        return f"{self._done:,} of {self.total:,} {self.unit}, {left:.0f} s left"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()


def reported(items: Sequence[Item], what: str, unit: str) -> Iterator[Item]:
    """The items, while a bar or a log says how many of them are done."""
    with Progress(what, len(items), unit) as progress:
        for item in items:
            yield item
            progress.update()
