"""Fill a table: ask for what is missing, look after what is old, and note what can't be had."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from motags.errors import MotagsError
from motags.films.catalogue import SetAside
from motags.progress import Progress
from motags.sources.fetch import Failed, Stuck
from motags.sources.store import Record, Table, followed

MAX_QUERY = 5000  # characters of keys in an address; servers refuse addresses over some 8,000

Fetch = Callable[[Sequence[str]], Iterable[Record]]
Revisions = Callable[[Sequence[str]], Mapping[str, int | None]]

log = logging.getLogger(__name__)


class Fill:
    """Fills tables; `aside` lists what could not be had.

    Args:
        refresh: records older than that are looked after.
    """

    def __init__(self, refresh: timedelta) -> None:
        self.refresh = refresh
        self.aside: list[SetAside] = []
        self._failed: dict[tuple[Path, str], Failed] = {}

    def __call__(
        self,
        table: Table,
        wanted: Iterable[str],
        fetch: Fetch,
        batch: int = 1,
        revisions: Revisions | None = None,
        needed: bool = False,
    ) -> None:
        """Fetch the wanted keys that `table` has not got or that changed, in their order, `batch` at once.

        Args:
            fetch: gives the records of some keys.
            revisions: gives the present revisions of some keys, so that only what changed is fetched again.
            needed: nothing can go on without these keys, those apart of which asking again gives no more (`Stuck`).

        Raises:
            MotagsError: a needed key can't be had.
        """
        keys = list(dict.fromkeys(wanted))
        missing_keys = [end for key in keys if (end := followed(key, table.redirects)) not in table]
        old_keys = set(table.older(self.refresh)) & set(keys)
        stale_keys = [key for key in keys if key in old_keys]
        with Progress(table.folder.name, len(missing_keys) + len(stale_keys), "keys") as bar:
            for part in batches(stale_keys, batch):
                self._fetch(table, self._changed(table, part, revisions) if revisions else part, fetch)
                bar.update(len(part))
            for part in batches(missing_keys, batch):
                unfetched = [key for key in part if key not in table and (table.folder, key) not in self._failed]
                self._fetch(table, unfetched, fetch)
                bar.update(len(part))
        if needed:
            self._refuse_lost(table.folder)

    def _refuse_lost(self, folder: Path) -> None:
        for (place, key), error in self._failed.items():
            if place == folder and not isinstance(error, Stuck):
                raise MotagsError(f"{folder.name} {key} is needed: {error}; run the same command again")

    def _changed(self, table: Table, keys: Sequence[str], revisions: Revisions) -> list[str]:
        try:
            current = revisions(keys)
        except Failed as error:
            if isinstance(error, Stuck) and len(keys) > 1:
                return [changed for key in keys for changed in self._changed(table, [key], revisions)]
            log.warning("%s: %s; what was fetched before is kept", table.folder.name, error)
            return []
        same_keys = [key for key in keys if current.get(key) and current[key] == table.revision(key)]
        table.unchanged(same_keys)
        return [key for key in keys if key not in set(same_keys)]

    def _fetch(self, table: Table, keys: Sequence[str], fetch: Fetch) -> None:
        """Fetch some keys; where that fails, each half by itself, until the one at fault is alone.

        Where an answer is stuck, each key is asked for by itself at once: its answer is the shortest.
        """
        if not keys:
            return
        try:
            table.add(fetch(keys))
        except Failed as error:
            if len(keys) > 1:
                size = 1 if isinstance(error, Stuck) else (len(keys) + 1) // 2
                for start in range(0, len(keys), size):
                    self._fetch(table, keys[start : start + size], fetch)
            elif keys[0] in table:
                log.warning("%s %s: %s; what was fetched before is kept", table.folder.name, keys[0], error)
            else:
                self._failed[table.folder, keys[0]] = error
                self.aside.append(SetAside(where=f"{table.folder.name} {keys[0]}", reason=str(error)))


def batches(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    """Split keys into batches of up to `size` that fit into an address."""
    batch: list[str] = []
    length = 0
    for key in keys:
        key_length = len(quote(key)) + 3
        if batch and (len(batch) == size or length + key_length > MAX_QUERY):
            yield batch
            batch, length = [], 0
        batch.append(key)
        length += key_length
    if batch:
        yield batch


def resolved(table: Table, key: str) -> Record | None:
    """The record of a key, over a redirect; None where nothing is there."""
    record = table.get(followed(key, table.redirects))
    return record if record and record.gone is None and record.content.keys() != {"redirect"} else None
