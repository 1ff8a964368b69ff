"""The SQLite file of a review: films, suggestions, and a history of decisions that can only grow."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motags.errors import MotagsError

APPLICATION = 0x6D6F7461  # "mota", which SQLite keeps in the file's header
VERSION = 1
WAIT = 30.0  # seconds that one writer waits for another

SCHEMA = """\
CREATE TABLE film (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, year INTEGER, text TEXT NOT NULL, record TEXT NOT NULL
) STRICT;

CREATE TABLE tag (name TEXT PRIMARY KEY, kind TEXT NOT NULL, threshold REAL) STRICT;

CREATE TABLE scored (film TEXT PRIMARY KEY, version TEXT NOT NULL, worth REAL NOT NULL) STRICT;

CREATE TABLE suggestion (
    film TEXT NOT NULL, tag TEXT NOT NULL, score REAL NOT NULL, given INTEGER NOT NULL, PRIMARY KEY (film, tag)
) STRICT, WITHOUT ROWID;

CREATE INDEX suggestion_by_tag ON suggestion (tag, given, score);

CREATE TABLE decision (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    act TEXT NOT NULL,
    place INTEGER NOT NULL,
    at TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    film TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('accept', 'reject', 'add', 'clear', 'done', 'skip', 'undo')),
    tag TEXT CHECK ((tag IS NULL) = (kind IN ('done', 'skip', 'undo'))),
    undoes TEXT CHECK ((undoes IS NULL) = (kind <> 'undo')),
    version TEXT NOT NULL,
    score REAL,
    UNIQUE (act, place)
) STRICT;

CREATE INDEX decision_by_film ON decision (film, tag, reviewer);

CREATE INDEX decision_by_reviewer ON decision (reviewer, seq);

CREATE INDEX decision_by_kind ON decision (kind, film, reviewer);

CREATE UNIQUE INDEX decision_undone ON decision (undoes);

CREATE TRIGGER decision_stays BEFORE UPDATE ON decision
    BEGIN SELECT RAISE(ABORT, 'decisions are never changed'); END;

CREATE TRIGGER decision_remains BEFORE DELETE ON decision
    BEGIN SELECT RAISE(ABORT, 'decisions are never deleted'); END;

CREATE TRIGGER decision_once BEFORE INSERT ON decision
    WHEN EXISTS (SELECT 1 FROM decision WHERE seq = NEW.seq OR undoes = NEW.undoes
        OR (act = NEW.act AND place = NEW.place))
    BEGIN SELECT RAISE(ABORT, 'a decision is never replaced'); END;

-- the decisions that have not been undone
CREATE VIEW live AS SELECT * FROM decision AS one
    WHERE kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM decision AS other WHERE other.undoes = one.act);

-- the last decision of each reviewer on a tag: yes is 1 or 0
CREATE VIEW verdict AS SELECT film, tag, reviewer, kind <> 'reject' AS yes, kind, at FROM
    (SELECT film, tag, reviewer, kind, at, max(seq) FROM live WHERE tag IS NOT NULL GROUP BY film, tag, reviewer)
    WHERE kind <> 'clear';

CREATE VIEW conflict AS SELECT film, tag FROM verdict GROUP BY film, tag HAVING min(yes) < max(yes);
"""

# beside the films, whose rows are long: a search reads this alone. A file that an earlier motags made gets it when it
# is opened, and earlier ones can still read the file
SEARCH = "CREATE TABLE IF NOT EXISTS search (film TEXT PRIMARY KEY, names TEXT NOT NULL) STRICT, WITHOUT ROWID"


class Database:
    """A review's file. Every commit is on the disk when it returns; each thread has a connection of its own.

    Raises:
        MotagsError: the file is no review, is of a later version, or can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        try:
            self._make_or_check()
        except sqlite3.Error as error:
            raise MotagsError(f"{path} can't be opened as a review's file: {error}") from error

    def read(self, query: str, **values: object) -> list[sqlite3.Row]:
        """The rows that a query gives."""
        return self._connection.execute(query, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on the disk when the block ends, or leaves nothing when it raises."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    @property
    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            connection = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = FULL")
            self._local.connection = connection
        return self._local.connection

    def _make_or_check(self) -> None:
        if self._pragma("application_id") != APPLICATION:
            self._make()
        if (found := self._pragma("user_version")) > VERSION:
            raise MotagsError(f"{self.path} was made by a later motags (file version {found}): upgrade motags")
        self.read("PRAGMA journal_mode = WAL")
        self.read(SEARCH)

    def _make(self) -> None:
        with self.writing() as connection:
            if self._pragma("application_id") == APPLICATION:
                return  # another process was faster
            if self.read("SELECT 1 FROM sqlite_schema"):
                raise MotagsError(f"{self.path} is another program's SQLite file: name a new file for the decisions")
            for statement in SCHEMA.split("\n\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")

    def _pragma(self, name: str) -> int:
        return int(self.read(f"PRAGMA {name}")[0][0])
