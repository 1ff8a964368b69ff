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

    def __init__(self, task: str, total: int | None, unit: str) -> None:
        self.task, self.total, self.unit = task, total, unit
        self._bar = tqdm(total=total, desc=task, unit=unit, disable=None, leave=False, file=sys.stderr)
        self._count, self._started = 0, time.monotonic()
        self._last_line = self._started

    def update(self, n: int = 1) -> None:
        """Count `n` more items as done."""
        self._count += n
        self._bar.update(n)
        now = time.monotonic()
        if self._bar.disable and now - self._last_line >= EVERY:
            self._last_line = now
            log.info("%s: %s", self.task, self._line(now - self._started))

    def _line(self, seconds: float) -> str:
        if not self.total:
            return f"{self._count:,} {self.unit}"
        left = seconds / max(self._count, 1) * (self.total - self._count)
        return f"{self._count:,} of {self.total:,} {self.unit}, {left:.0f} s left"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()


def reported(items: Sequence[Item], task: str, unit: str) -> Iterator[Item]:
    """The items, while a bar or a log says how many of them are done."""
    with Progress(task, len(items), unit) as progress:
        for item in items:
            yield item
            progress.update()
