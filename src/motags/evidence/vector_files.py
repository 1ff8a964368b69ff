"""A user's own vectors of films, by film id: of trailers, of sound, of who watches, of anything that motags can't read.

A file is `.npz` with the arrays `ids` and `vectors`, or `.parquet` with the columns `id` and `vector` (lists of
numbers), or `id` and a column for each number. Nothing in it is run. Each file is a kind of evidence of its own.
"""

import logging
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motags.errors import MotagsError
from motags.evidence.kinds import BUILT_IN
from motags.films.text import Entry

if TYPE_CHECKING:
    import pyarrow as pa

NAME = re.compile(r"\w[\w .-]*")
DAMAGED = (  # what numpy and pyarrow raise for a file that is of another kind, damaged, or encrypted
    EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """How a file and the films match.

    Attributes:
        vectors_without_film: vectors whose id is that of no film.
        films_without_vector: films whose id the file doesn't have.
    """

    vectors_without_film: int
    films_without_vector: int


class OwnVectors:
    """The vectors of some files, each a kind of evidence that is called as its file, less the end.

    Attributes:
        kinds: (d,) float32 by film id, by kind.

    Raises:
        MotagsError: a file can't be read (see `read_vectors`), or has the name of another kind of evidence.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        read = {name: read_vectors(path) for name, path in _kinds(files).items()}
        self.kinds = {name: dict(zip(ids, rows, strict=True)) for name, (ids, rows) in read.items()}

    def added(self, film: Entry) -> Entry:
        """The film with its vectors beside those that it has."""
        own = {name: by_id[film.id] for name, by_id in self.kinds.items() if film.id in by_id}
        return film.with_vectors(own)


def with_vectors(films: Sequence[Entry], files: Sequence[Path]) -> tuple[list[Entry], dict[str, Counts]]:
    """The films with the vectors of files beside those that they have; see `OwnVectors`.

    Returns:
        The films in their order, and how each file matches them, by kind.
    """
    own = OwnVectors(files)
    known = {film.id for film in films}
    counts = {}
    for name, by_id in own.kinds.items():
        matched = len(known & by_id.keys())
        counts[name] = Counts(len(by_id) - matched, sum(film.id not in by_id for film in films))
        log.info(
            "%s: %d vectors, %d of them of no film; %d films have none",
            name, len(by_id), counts[name].vectors_without_film, counts[name].films_without_vector,
        )  # fmt: skip
    return [own.added(film) for film in films], counts


def _kinds(files: Sequence[Path]) -> dict[str, Path]:
    """The files by the kind of evidence that each is."""
    kinds: dict[str, Path] = {}
    for path in files:
        name = path.stem
        if name in BUILT_IN:
            raise MotagsError(f"{path}: {name!r} is a kind of evidence that motags has itself: rename the file")
        if not NAME.fullmatch(name):
            raise MotagsError(f"{path}: {name!r} can't name evidence: use letters, digits, blanks, '_', '-' and '.'")
        if name in kinds:
            raise MotagsError(f"{path} and {kinds[name]} would both be the evidence {name!r}: rename one")
        kinds[name] = path
    return kinds


def read_vectors(path: Path) -> tuple[list[str], np.ndarray]:
    """Ids (m) and vectors (m, d) float32 of a file, in its order; whole numbers are ids too. A vector may be all zero.

    Raises:
        MotagsError: the file is missing, damaged or of another kind, has no ids or no vectors, an id twice, or a
            vector that is of another length than the first or not finite.
    """
    readers = {".npz": _npz, ".parquet": _parquet}
    if path.suffix not in readers:
        raise MotagsError(f"{path}: vectors come in {' or '.join(readers)}, not in {path.suffix or 'nothing'!r}")
    if not path.is_file():
        raise MotagsError(f"{path} {'is no file' if path.exists() else 'is missing'}: it should hold vectors of films")
    try:
        ids, vectors = readers[path.suffix](path)
    except DAMAGED as error:
        raise _unreadable(path, error) from None
    if vectors.ndim != 2:
        raise MotagsError(f"{path}: vectors have the shape {vectors.shape}: expected films and numbers")
    if len(ids) != len(vectors):
        raise MotagsError(f"{path} has {len(ids):,} ids and {len(vectors):,} vectors: give as many of each")
    if not vectors.size:
        raise MotagsError(f"{path} holds no numbers: its vectors have the shape {vectors.shape}")
    [(frequent, count)] = Counter(ids).most_common(1)
    if count > 1:
        raise MotagsError(f"{path} has the id {frequent!r} twice: give each film one vector")
    with np.errstate(over="ignore"):
        vectors = vectors.astype(np.float32)
    finite = np.isfinite(vectors).all(1)
    if not finite.all():
        raise MotagsError(
            f"{path}: the vector of {ids[finite.argmin()]!r} has a number that is NaN, infinite or missing"
        )
    return ids, vectors


def _npz(path: Path) -> tuple[list[str], np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        members = {name: file[name] for name in ("ids", "vectors") if name in file}
    arrays = {name: member for name, member in members.items() if isinstance(member, np.ndarray)}
    if missing := [name for name in ("ids", "vectors") if name not in arrays]:
        raise MotagsError(f"{path} has no array {' and no array '.join(map(repr, missing))}: it needs ids and vectors")
    ids, vectors = arrays["ids"], arrays["vectors"]
    if ids.ndim != 1 or ids.dtype.kind not in "iuU":
        raise MotagsError(f"{path}: ids are {ids.dtype} {ids.shape}: expected a list of texts or whole numbers")
    if vectors.dtype.kind not in "fiu":
        raise MotagsError(f"{path}: vectors are {vectors.dtype}: expected numbers")
    return [str(id_) for id_ in ids], vectors


def _parquet(path: Path) -> tuple[list[str], np.ndarray]:
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415, an extra
    except ImportError:
        raise MotagsError(f"{path} needs pyarrow: pip install 'motags[parquet]'") from None
    with pq.ParquetFile(path) as file:
        table = file.read()
    if "id" not in table.column_names:
        raise MotagsError(f"{path} has no column 'id': it has {', '.join(table.column_names)[:200] or 'none'}")
    ids = table.column("id").to_pylist()
    for row, id_ in enumerate(ids):
        if not isinstance(id_, str | int) or isinstance(id_, bool):
            raise MotagsError(f"{path}: the id of row {row} is {id_!r}: expected text or a whole number")
    names = list(map(str, ids))
    if "vector" in table.column_names:
        return names, _lists(path, table.column("vector").combine_chunks(), names)
    columns = [name for name in table.column_names if name != "id"]
    if not columns:
        raise MotagsError(f"{path} has no vectors: it needs a column 'vector' of lists, or a column for each number")
    return names, np.column_stack([_numbers(path, name, table.column(name)) for name in columns])


def _lists(path: Path, column: "pa.Array", ids: list[str]) -> np.ndarray:
    """The vectors (m, d) float64 of a column of lists."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(column.type) for is_kind in kinds):
        raise MotagsError(f"{path}: the column 'vector' is {column.type}: expected lists of numbers")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_pylist()
    for id_, length in zip(ids, lengths, strict=True):
        if length != lengths[0]:
            raise MotagsError(f"{path}: the vector of {id_!r} has {length} numbers, that of {ids[0]!r} {lengths[0]}")
    d = lengths[0] if lengths else 0
    return _numbers(path, "vector", pc.list_flatten(column)).reshape(len(ids), d)


def _numbers(path: Path, name: str, column: Any) -> np.ndarray:
    """A column of numbers, (m,) float64, NaN where there is none."""
    import pyarrow as pa  # noqa: PLC0415

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise MotagsError(f"{path}: the column {name!r} is of {column.type}: expected numbers")
    numbers: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _unreadable(path: Path, error: Exception) -> MotagsError:
    reason = " ".join(str(error).split()) or type(error).__name__
    pickled = "it holds pickled objects, which are not read" if "pickle" in reason else reason
    return MotagsError(f"{path} can't be read as vectors: {pickled}")
