"""The films of a review with their suggested tags, and the queue: the film first of which the model is least sure."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, replace

from motags.films.film import Film
from motags.web.database import Database
from motags.web.decisions import History, Verdict
from motags.web.search import names_of, people_of, words_of

SHOWS = {
    "open": "f.id NOT IN (SELECT film FROM live WHERE kind = 'done')",
    "skipped": "f.id IN (SELECT film FROM live WHERE kind = 'skip' AND reviewer = :me)"
    " AND f.id NOT IN (SELECT film FROM live WHERE kind = 'done')",
    "mine": "f.id IN (SELECT film FROM live WHERE kind = 'done' AND reviewer = :me)",
    "others": "f.id IN (SELECT film FROM live WHERE kind = 'done' AND reviewer <> :me)"
    " AND f.id NOT IN (SELECT film FROM live WHERE kind = 'done' AND reviewer = :me)",
    "conflicts": "f.id IN (SELECT film FROM conflict)",
    "all": "1",
}
SURE = {"any": (0.0, 2.0), "high": (0.8, 2.0), "middle": (0.5, 0.8), "low": (0.0, 0.5)}
QUEUE = """SELECT * FROM (
    SELECT f.id, f.title, f.year, coalesce(s.worth, -1) AS worth, f.id IN
        (SELECT film FROM live WHERE kind = 'skip' AND reviewer = :me) AS skipped
    FROM film AS f LEFT JOIN scored AS s ON s.film = f.id WHERE {show} AND {suggested} AND {found}
)"""
ORDER = "ORDER BY skipped, worth DESC, id LIMIT :limit OFFSET :offset"
SUGGESTED = """EXISTS (SELECT 1 FROM suggestion AS g WHERE g.film = f.id AND g.given
    AND (:tag = '' OR g.tag = :tag) AND g.score >= :least AND g.score < :most)"""
FOUND = "f.id IN (SELECT film FROM search WHERE {})"
UNSCORED = "FROM film LEFT JOIN scored ON film = id WHERE coalesce(version, '') <> :version"


@dataclass(frozen=True)
class Filter:
    """Which films the queue holds: by state, by a suggested tag and how sure the model is of it, by names."""

    show: str = "open"
    tag: str = ""
    sure: str = "any"
    q: str = ""  # words that stand in the title or the names of people

    def query(self, **more: str) -> dict[str, str]:
        """As the fields of an address, without those at their default."""
        changed = {name: value for name, value in asdict(self).items() if value != getattr(Filter, name)}
        return more | changed


@dataclass(frozen=True)
class Scored:
    """What a model says of a film: how uncertain it is, and (tag, score, predicted) of the tags to show."""

    film: str
    uncertainty: float
    tags: Sequence[tuple[str, float, bool]]


@dataclass(frozen=True)
class TagRow:
    """A tag of a film as the page shows it; `predicted` says that its score is at least its threshold."""

    tag: str
    score: float | None = None
    threshold: float | None = None
    predicted: bool = False
    catalogued: bool = False
    verdicts: tuple[Verdict, ...] = ()

    def verdict_of(self, reviewer: str) -> str:
        """What this reviewer says: accept, reject, add or nothing."""
        return next((verdict.kind for verdict in self.verdicts if verdict.reviewer == reviewer), "")

    def other_verdicts(self, reviewer: str) -> list[Verdict]:
        """What the others say."""
        return [verdict for verdict in self.verdicts if verdict.reviewer != reviewer]

    @property
    def likely(self) -> bool:
        """Whether the row stands among the suggestions, not among the tags that the model only considers."""
        return self.predicted or self.catalogued or any(verdict.kind == "add" for verdict in self.verdicts)

    def is_undecided_by(self, reviewer: str) -> bool:
        """Whether the reviewer has yet to decide: a tag of the catalogue stays without that."""
        return self.predicted and not self.catalogued and not self.verdict_of(reviewer)

    @property
    def conflict(self) -> bool:
        """Whether the reviewers say both yes and no."""
        return len({verdict.yes for verdict in self.verdicts}) == 2


class ReviewStore:
    """The films and suggestions of a review's file, read together with its decisions."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.history = History(database)

    def take(self, films: Iterable[tuple[Film, str]], tags: Iterable[tuple[str, str, float]]) -> None:
        """Take over a catalogue and a model's tags; what was suggested for a film that has changed is dropped.

        Args:
            films: each with the text that the model reads, or "".
            tags: name, kind ("genre", "keyword" or "") and threshold of the model's tags.
        """
        rows, names = [], []
        for film, text in films:
            rows.append((film.id, film.title, film.year, text, record_of(film)))
            names.append((film.id, names_of(film)))
        with self.database.writing() as connection:
            connection.execute("CREATE TEMP TABLE came (id TEXT PRIMARY KEY, title, year, text, record)")
            connection.executemany("INSERT INTO came VALUES (?, ?, ?, ?, ?)", rows)
            for table in ("suggestion", "scored"):
                connection.execute(
                    f"DELETE FROM {table} WHERE film NOT IN (SELECT id FROM film JOIN came USING (id, text, record))"  # noqa: S608
                )
            connection.execute("DELETE FROM film")
            connection.execute("INSERT INTO film SELECT * FROM came")
            connection.execute("DROP TABLE came")
            connection.execute("DELETE FROM search")
            connection.executemany("INSERT INTO search VALUES (?, ?)", names)
            connection.execute("DELETE FROM tag")
            connection.executemany("INSERT INTO tag VALUES (?, ?, ?)", tags)
            connection.execute(
                "INSERT INTO tag SELECT DISTINCT json_extract(value, '$.name'),"
                " coalesce(json_extract(value, '$.kind'), ''), NULL"
                " FROM film, json_each(record, '$.tags') WHERE true ON CONFLICT DO NOTHING"
            )

    def unscored(self, version: str, limit: int, after: str = "") -> list[sqlite3.Row]:
        """Films (id, text, record) not scored yet by this version of the model, by id; those after one of them."""
        return self.database.read(
            f"SELECT id, text, record {UNSCORED} AND id > :after ORDER BY id LIMIT :limit",
            version=version,
            after=after,
            limit=limit,
        )

    def unscored_films(self, version: str) -> int:
        """How many films this version has not scored yet."""
        return int(self.database.read(f"SELECT count(*) {UNSCORED}", version=version)[0][0])

    def suggest(self, version: str, scored: Iterable[Scored]) -> None:
        """Keep what a model says of some films, in the place of what one said before."""
        with self.database.writing() as connection:
            for film, uncertainty, tags in map(astuple, scored):
                connection.execute("INSERT OR REPLACE INTO scored VALUES (?, ?, ?)", (film, version, uncertainty))
                connection.execute("DELETE FROM suggestion WHERE film = ?", (film,))
                rows = [(film, tag, score, predicted) for tag, score, predicted in tags]
                connection.executemany("INSERT INTO suggestion VALUES (?, ?, ?, ?)", rows)

    def film(self, film: str) -> sqlite3.Row | None:
        """A film, or None: id, title, year, text, record, the version that scored it, and whether that had evidence."""
        rows = self.database.read(
            "SELECT f.*, s.version, s.worth >= 0 AS known FROM film AS f LEFT JOIN scored AS s ON s.film = f.id"
            " WHERE f.id = :film",
            film=film,
        )
        return rows[0] if rows else None

    def catalogued(self, film: str) -> list[str]:
        """The tags that the catalogue gives a film."""
        rows = self.database.read(
            "SELECT json_extract(value, '$.name') AS tag FROM film, json_each(record, '$.tags') WHERE film.id = :film",
            film=film,
        )
        return [row["tag"] for row in rows]

    def rows(self, film: sqlite3.Row) -> list[TagRow]:
        """The tags of a film to show: suggested, in the catalogue, or decided by anyone; the likeliest first."""
        tags = {tag["name"]: TagRow(tag["name"], catalogued=True) for tag in json.loads(film["record"])["tags"]}
        for suggestion in self.database.read("SELECT * FROM suggestion WHERE film = :film", film=film["id"]):
            row = tags.get(suggestion["tag"], TagRow(suggestion["tag"]))
            tags[suggestion["tag"]] = replace(row, score=suggestion["score"], predicted=bool(suggestion["given"]))
        for tag, verdicts in self.history.verdicts(film["id"]).items():
            tags[tag] = replace(tags.get(tag, TagRow(tag)), verdicts=tuple(verdicts))
        thresholds = self._thresholds(list(tags))
        rows = [replace(row, threshold=thresholds.get(row.tag)) for row in tags.values()]
        return sorted(rows, key=lambda row: (-row.likely, -(row.score or 0), row.tag))

    def _thresholds(self, names: list[str]) -> dict[str, float | None]:
        rows = self.database.read(
            "SELECT name, threshold FROM tag WHERE name IN (SELECT value FROM json_each(:names))",
            names=json.dumps(names),
        )
        return {row["name"]: row["threshold"] for row in rows}

    def tags(self) -> list[sqlite3.Row]:
        """All tags (name, kind): the model's, the catalogue's, and those that reviewers added."""
        return self.database.read(
            "SELECT name, kind FROM tag UNION SELECT DISTINCT tag, '' FROM decision"
            " WHERE kind = 'add' AND tag NOT IN (SELECT name FROM tag) ORDER BY 1"
        )

    def predicted_tags(self) -> list[sqlite3.Row]:
        """The tags that the model predicts for any film (tag, films)."""
        return self.database.read("SELECT tag, count(*) AS films FROM suggestion WHERE given GROUP BY tag ORDER BY tag")

    def predicted(self, films: Sequence[str]) -> dict[str, list[str]]:
        """The tags that the model predicts for each of these films, best first."""
        rows = self.database.read(
            "SELECT film, tag FROM suggestion WHERE given AND film IN (SELECT value FROM json_each(:films))"
            " ORDER BY score DESC",
            films=json.dumps(films),
        )
        by_film: dict[str, list[str]] = {film: [] for film in films}
        for row in rows:
            by_film[row["film"]].append(row["tag"])
        return by_film

    def progress(self) -> tuple[int, int]:
        """How many films there are, and how many are done."""
        (row,) = self.database.read(
            "SELECT (SELECT count(*) FROM film),"
            " (SELECT count(*) FROM film WHERE id IN (SELECT film FROM live WHERE kind = 'done'))"
        )
        return row[0], row[1]

    def queue(self, chosen: Filter, me: str, limit: int, offset: int = 0) -> list[sqlite3.Row]:
        """Films (id, title, year, worth, skipped) of the queue, the most uncertain first, those skipped last."""
        query, values = _queue(chosen, me)
        return self.database.read(f"{query} {ORDER}", limit=limit, offset=offset, **values)

    def count(self, chosen: Filter, me: str) -> int:
        """How many films the queue holds."""
        query, values = _queue(chosen, me)
        return int(self.database.read(f"SELECT count(*) FROM ({query})", **values)[0][0])  # noqa: S608

    def people(self, films: Sequence[str], q: str) -> dict[str, list[str]]:
        """By film, the people for whom a search finds it."""
        if not q:
            return {film: [] for film in films}
        rows = self.database.read(
            "SELECT id, record FROM film WHERE id IN (SELECT value FROM json_each(:films))", films=json.dumps(films)
        )
        return {row["id"]: people_of(json.loads(row["record"]), words_of(q)) for row in rows}

    def after(self, film: str, chosen: Filter, me: str, limit: int) -> list[str]:
        """Ids of the films that follow in the queue, from its start again where it ends; never the film itself."""
        query, values = _queue(chosen, me)
        later = (
            "WHERE (skipped, -worth, id) > (SELECT :film IN (SELECT film FROM live WHERE kind = 'skip' AND"
            " reviewer = :me), -coalesce((SELECT worth FROM scored WHERE film = :film), -1), :film)"
        )
        following = self.database.read(f"{query} {later} {ORDER}", film=film, limit=limit, offset=0, **values)
        from_start = self.queue(chosen, me, limit - len(following) + 1) if len(following) < limit else []
        return list(dict.fromkeys(row["id"] for row in [*following, *from_start] if row["id"] != film))[:limit]


def _queue(chosen: Filter, me: str) -> tuple[str, dict[str, object]]:
    low, high = SURE[chosen.sure]
    suggested = "1" if (chosen.tag, chosen.sure) == ("", "any") else SUGGESTED
    words = {f"word{n}": word for n, word in enumerate(words_of(chosen.q))}
    has_words = [f"instr(names, :{name})" for name in words]  # no LIKE, to which % and _ are any letters
    found = FOUND.format(" AND ".join(has_words)) if words else "1"
    query = QUEUE.format(show=SHOWS[chosen.show], suggested=suggested, found=found)
    return query, {"me": me, "tag": chosen.tag, "least": low, "most": high, **words}


def record_of(film: Film) -> str:
    """A film as JSON, as a catalogue's line has it."""
    record = film.model_dump(exclude={"ids", "posters", "trailers", "origins", "sources"}, exclude_none=True)
    tags = [{key: value for key, value in tag.items() if key != "sources"} for tag in record["tags"]]
    return json.dumps(record | {"tags": tags}, ensure_ascii=False)
