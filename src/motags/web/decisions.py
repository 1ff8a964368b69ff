"""Decisions: which reviewer decided what on which tag, when, and with which model. They are only added to."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from motags.dataset.tag_vocabulary import composed
from motags.errors import MotagsError
from motags.web.database import Database

MOST_LETTERS = 100  # of a tag's name
MOST_NAME = 40  # letters of a reviewer's name

Decision = tuple[str, str | None]  # kind and tag
INSERT = """INSERT INTO decision (act, place, at, reviewer, film, kind, tag, undoes, version, score)
    SELECT :act, :place, :at, :reviewer, :film, :kind, :tag, :undoes, :version,
    (SELECT score FROM suggestion JOIN scored USING (film) WHERE film = :film AND tag = :tag AND version = :version)"""


@dataclass(frozen=True)
class Verdict:
    """What a reviewer says last of a tag."""

    reviewer: str
    kind: str

    @property
    def yes(self) -> bool:
        """Whether the film has the tag, to this reviewer."""
        return self.kind != "reject"


class History:
    """The decisions of a review's file.

    An act is what a reviewer does at once, such as accepting five tags. The client names it, so that an act that is
    sent twice is kept once.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def keep(self, act: str, reviewer: str, film: str, decisions: Sequence[Decision], version: str) -> bool:
        """Keep an act: on the disk when this returns.

        Args:
            act: the client's name for it, 8 to 80 letters, digits and hyphens.
            decisions: kind (accept, reject, add, clear with a tag; done, skip with None) and tag.
            version: the model whose suggestions the reviewer saw, or "".

        Returns:
            False where the act had been kept before; then nothing changes.
        """
        with self.database.writing() as connection:
            if self._is_kept(act):
                return False
            for place, (kind, tag) in enumerate(decisions):
                self._insert(connection, act, place, reviewer, film, kind, tag, version)
        return True

    def undo(self, act: str, reviewer: str, version: str) -> list[sqlite3.Row]:
        """Take back the reviewer's last act that stands on a film of this catalogue, by a further act.

        Returns:
            The decisions taken back.
        """
        with self.database.writing() as connection:
            if not self._is_kept(act) and (last_act := self._last_act(reviewer)):
                self._insert(connection, act, 0, reviewer, last_act["film"], "undo", None, version, last_act["act"])
        return self.database.read(
            "SELECT * FROM decision WHERE act = (SELECT undoes FROM decision WHERE act = :act) ORDER BY place", act=act
        )

    def _is_kept(self, act: str) -> bool:
        return bool(self.database.read("SELECT 1 FROM decision WHERE act = :act", act=act))

    def _last_act(self, reviewer: str) -> sqlite3.Row | None:
        rows = self.database.read(
            "SELECT act, film FROM live WHERE reviewer = :reviewer AND film IN (SELECT id FROM film)"
            " ORDER BY seq DESC LIMIT 1",
            reviewer=reviewer,
        )
        return rows[0] if rows else None

    @staticmethod
    def _insert(
        connection: sqlite3.Connection, act: str, place: int, reviewer: str, film: str, kind: str, tag: str | None,
        version: str, undoes: str | None = None,
    ) -> None:  # fmt: skip
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = {"act": act, "place": place, "at": at, "reviewer": reviewer, "film": film, "kind": kind, "tag": tag}
        connection.execute(INSERT, values | {"undoes": undoes, "version": version})

    def verdicts(self, film: str) -> dict[str, list[Verdict]]:
        """Of each tag of a film that anyone decided, what each reviewer says last, the earliest first."""
        rows = self.database.read("SELECT * FROM verdict WHERE film = :film ORDER BY at", film=film)
        by_tag: dict[str, list[Verdict]] = defaultdict(list)
        for row in rows:
            by_tag[row["tag"]].append(Verdict(row["reviewer"], row["kind"]))
        return by_tag

    def all_verdicts(self) -> dict[str, dict[str, list[Verdict]]]:
        """`verdicts` of all films that have any, by film."""
        films: dict[str, dict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
        for row in self.database.read("SELECT * FROM verdict ORDER BY at"):
            films[row["film"]][row["tag"]].append(Verdict(row["reviewer"], row["kind"]))
        return films

    def done_by(self, films: Sequence[str] | None = None) -> dict[str, list[str]]:
        """The reviewers who have done a film, by film; of all films, or of these."""
        rows = self.database.read(
            "SELECT DISTINCT film, reviewer FROM live WHERE kind = 'done'"
            " AND (:films IS NULL OR film IN (SELECT value FROM json_each(:films))) ORDER BY reviewer",
            films=None if films is None else json.dumps(films),
        )
        by_film: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            by_film[row["film"]].append(row["reviewer"])
        return by_film

    def by_reviewer(self) -> dict[str, int]:
        """How many films each reviewer has done, the busiest first."""
        rows = self.database.read(
            "SELECT reviewer, count(DISTINCT film) AS films FROM live WHERE kind = 'done'"
            " GROUP BY reviewer ORDER BY films DESC, reviewer"
        )
        return {row["reviewer"]: row["films"] for row in rows}


def tag_name(text: str) -> str:
    """A tag as it is kept. Raises MotagsError where it is empty, too long, or can't be printed."""
    return _name(text, "a tag", MOST_LETTERS)


def reviewer_name(text: str) -> str:
    """A reviewer's name as it is kept. Raises MotagsError where it is empty, too long, or can't be printed."""
    return _name(text, "a reviewer's name", MOST_NAME)


def _name(text: str, subject: str, limit: int) -> str:
    name = composed(text)
    if not name or len(name) > limit or not name.isprintable():
        raise MotagsError(f"{subject} needs 1 to {limit} printable characters")
    return name
