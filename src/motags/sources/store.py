"""What was fetched: tables of JSON Lines in shards, only ever appended to, so that a crawl goes on where it stopped."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from motags.artifacts import SUMS, checked, replacing, seal
from motags.errors import MotagsError
from motags.machine import lock

SHARD_BYTES = 64 * 2**20  # a few shards, not a file a film: DVC takes seconds for 30,000 small files
MAX_HOPS = 5  # from a key over normal forms and redirects


@dataclass(frozen=True)
class Record:
    """One thing that was asked for.

    Attributes:
        key: what was asked for.
        content: what came, any JSON; None where nothing is there.
        revision: the source's number of this version, where it has one.
        gone: why nothing is there.
        fetched: when, UTC.
    """

    key: str
    content: Any = None
    revision: int | None = None
    gone: str | None = None
    fetched: str = ""


class _Place(NamedTuple):
    shard: int
    offset: int
    length: int
    fetched: str
    revision: int | None


def followed(key: str, moves: Mapping[str, str]) -> str:
    """The key that one leads to, over as many moves as there are, up to `MAX_HOPS`."""
    for _ in range(MAX_HOPS):
        key = moves.get(key, key)
    return key


class Table(Mapping[str, Record]):
    """Records by key, in a folder of shards; the last record of a key counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[str, _Place] = {}
        self._files: dict[int, FileIO] = {}
        self.redirects: dict[str, str] = {}  # of the records that only lead to another
        for shard in range(len(self._shards())):
            self._read(shard)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, key: str) -> Record:
        place = self._places[key]
        file = self._file(place.shard)
        file.seek(place.offset)
        return replace(Record(**json.loads(file.read(place.length))), fetched=place.fetched)

    def revision(self, key: str) -> int | None:
        """The revision of a key's record."""
        return self._places[key].revision

    def is_older(self, record: Record) -> bool:
        """Whether the table has not got this record, or an earlier revision of it."""
        return record.key not in self or (self.revision(record.key) or 0) < (record.revision or 0)

    def older(self, than: timedelta) -> list[str]:
        """The keys that were fetched longer ago than that."""
        limit = _stamp(datetime.now(UTC) - than)
        return [key for key, place in self._places.items() if place.fetched < limit]

    def add(self, records: Iterable[Record]) -> None:
        """Append records, all or none.

        Raises:
            MotagsError: the disk is full.
        """
        now = _stamp(datetime.now(UTC))
        self._append([_line(replace(record, fetched=now)) for record in records])

    def add_all(self, records: Iterable[Record], at_once: int = 100) -> None:
        """Append a stream of records, some at once."""
        stream = iter(records)
        while some := list(islice(stream, at_once)):
            self.add(some)

    def unchanged(self, keys: Iterable[str]) -> None:
        """Note that the records of these keys were looked at now and are still true."""
        now = _stamp(datetime.now(UTC))
        self._append([_encoded({"key": key, "fetched": now, "same": True}) for key in keys])

    def forget(self, keys: Iterable[str]) -> None:
        """Count these keys as not fetched; their next record takes the place of the present one."""
        for key in list(keys):
            self._places.pop(key, None)

    def drop(self, older: timedelta) -> int:
        """Take out, for good, what was fetched longer ago than that; say how many records."""
        old_keys = set(self.older(older))
        if not old_keys:
            return 0
        for shard, path in enumerate(self._shards()):
            kept_keys = (key for key, place in self._places.items() if place.shard == shard and key not in old_keys)
            with replacing(path) as temporary, temporary.open("wb") as file:
                file.writelines(_line(self[key]) for key in kept_keys)
        self.close()
        self.__init__(self.folder)  # type: ignore[misc]
        return len(old_keys)

    def close(self) -> None:
        """Write everything to the disk, and close the files."""
        for file in self._files.values():
            os.fsync(file.fileno())
            file.close()
        self._files.clear()

    def _append(self, lines: list[bytes]) -> None:
        if not lines:
            return
        shard = max(0, len(self._shards()) - 1)
        if self._path(shard).exists() and self._path(shard).stat().st_size >= SHARD_BYTES:
            shard += 1
        file = self._file(shard)
        start = file.seek(0, os.SEEK_END)
        rest = memoryview(b"".join(lines))
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            file.truncate(start)
            raise MotagsError(
                f"{self._path(shard)} can't be written: {error.strerror}; make room and run the same command again"
            ) from error
        for line in lines:
            self._note(shard, start, line)
            start += len(line)

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob("*.jsonl"))

    def _path(self, shard: int) -> Path:
        return self.folder / f"{shard:05}.jsonl"

    def _file(self, shard: int) -> FileIO:
        if shard not in self._files:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._files[shard] = FileIO(self._path(shard), "a+")
        return self._files[shard]

    def _read(self, shard: int) -> None:
        """Index a shard; a last line that a kill cut short is cut off."""
        path, offset = self._path(shard), 0
        with path.open("rb") as file:
            for line in file:
                try:
                    self._note(shard, offset, line)
                except (ValueError, KeyError, TypeError):
                    if file.read(1):
                        raise MotagsError(
                            f"{path} is damaged at byte {offset}: remove {self.folder} and crawl it again"
                        ) from None
                    break
                offset += len(line)
        if offset < path.stat().st_size:
            os.truncate(path, offset)

    def _note(self, shard: int, offset: int, line: bytes) -> None:
        if not line.endswith(b"\n"):
            raise ValueError("no end of line")
        record = json.loads(line)
        key, fetched = record["key"], record["fetched"]
        if record.get("same"):
            self._places[key] = self._places[key]._replace(fetched=fetched)
        else:
            self._places[key] = _Place(shard, offset, len(line), fetched, record.get("revision"))
            content = record.get("content")
            if isinstance(content, dict) and content.keys() == {"redirect"}:
                self.redirects[key] = content["redirect"]
            else:
                self.redirects.pop(key, None)


class Store:
    """The tables in a folder, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: dict[str, Table] = {}

    def __getitem__(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = Table(self.folder / name)
        return self._tables[name]

    def close(self) -> None:
        """Close all tables."""
        for table in self._tables.values():
            table.close()


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """Open the store in `folder`, for one process at a time; seal it if the block succeeds.

    Raises:
        MotagsError: another process holds it, or what was sealed has changed.
    """
    with _locked(folder.with_name(f".{folder.name}.lock")):
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / SUMS).exists():
            checked(folder)
            (folder / SUMS).unlink()
        for unfinished in folder.rglob(".*.tmp"):  # of a process that was killed
            unfinished.unlink()
        store = Store(folder)
        try:
            yield store
        finally:
            store.close()
        seal(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if not lock(file):
            file.seek(0)
            raise MotagsError(f"{path} is held by {file.read() or 'another process'}: wait until it ends, or stop it")
        file.truncate(0)
        file.write(f"process {os.getpid()}, at work since {_stamp(datetime.now(UTC))}")
        file.flush()
        yield


def _line(record: Record) -> bytes:
    return _encoded({name: value for name, value in asdict(record).items() if value is not None})


def _encoded(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
