"""A review's file: decisions are kept once and for good, the queue and the filters say what they promise."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import MODEL_VERSION, act_name, review_film, review_store
from motags.errors import MotagsError
from motags.films.film import Film, Tag
from motags.films.text import TextRules
from motags.web import database as schema
from motags.web import scoring
from motags.web.database import Database
from motags.web.decisions import reviewer_name, tag_name
from motags.web.scoring import pieces, tags_to_show, uncertainty
from motags.web.store import Filter, ReviewStore, Scored

ACTS = ["accept", "reject", "add", "clear"]


@pytest.fixture
def store(tmp_path: Path) -> ReviewStore:
    return review_store(tmp_path / "review.sqlite")


def ids(store: ReviewStore, me: str = "Ana", **chosen: str) -> list[str]:
    return [row["id"] for row in store.queue(Filter(**chosen), me, 100)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE decision SET reviewer = 'Eve'",
        "UPDATE OR REPLACE decision SET seq = 2 WHERE seq = 1",
        "DELETE FROM decision",
        "DELETE FROM decision WHERE seq = 1",
        "INSERT OR REPLACE INTO decision SELECT * FROM decision",
        "REPLACE INTO decision (act, place, at, reviewer, film, kind, tag, version)"
        " SELECT act, place, at, 'Eve', film, kind, tag, version FROM decision",
    ],
)
def test_the_history_can_neither_be_changed_nor_shortened(store: ReviewStore, change: str) -> None:
    store.history.keep(act_name(1), "Ana", "a", [("accept", "war"), ("reject", "heist")], MODEL_VERSION)
    before = [tuple(row) for row in store.database.read("SELECT * FROM decision")]
    with sqlite3.connect(store.database.path) as other, pytest.raises(sqlite3.IntegrityError, match="never"):
        other.execute(change)
    assert [tuple(row) for row in store.database.read("SELECT * FROM decision")] == before


def test_a_decision_says_who_when_what_and_beside_which_model(store: ReviewStore) -> None:
    store.history.keep(act_name(1), "Ana", "a", [("accept", "war")], MODEL_VERSION)
    (row,) = store.database.read("SELECT * FROM decision")
    assert (row["reviewer"], row["film"], row["kind"], row["tag"]) == ("Ana", "a", "accept", "war")
    assert row["version"] == MODEL_VERSION
    assert row["score"] == pytest.approx(0.9)
    assert row["at"].startswith("20")
    assert row["at"].endswith("Z")


Step = tuple[int, str, str, str]
steps = st.lists(
    st.tuples(
        st.integers(0, 9), st.sampled_from(["Ana", "Ben"]), st.sampled_from([*ACTS, "undo"]), st.sampled_from("xy")
    ),
    max_size=25,
)


def expected(taken: list[Step]) -> dict[tuple[str, str], str]:
    """What (tag, reviewer) pairs say, by a list of acts from which an undo takes the last."""
    seen: set[int] = set()
    stacks: dict[str, list[tuple[str, str]]] = {"Ana": [], "Ben": []}
    for name, reviewer, kind, tag in taken:
        if name in seen:
            continue
        if kind != "undo":
            stacks[reviewer].append((tag, kind))
        elif stacks[reviewer]:
            stacks[reviewer].pop()
        else:
            continue  # nothing was undone, so nothing was kept under this name
        seen.add(name)
    said = {(tag, reviewer): kind for reviewer, stack in stacks.items() for tag, kind in stack}
    return {pair: kind for pair, kind in said.items() if kind != "clear"}


@settings(max_examples=60)
@given(taken=steps)
def test_verdicts_are_those_of_the_acts_that_were_not_undone_each_counted_once(
    taken: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = review_store(tmp_path_factory.mktemp("law") / "review.sqlite", films=1)
    for name, reviewer, kind, tag in taken:
        if kind == "undo":
            store.history.undo(act_name(name), reviewer, MODEL_VERSION)
        else:
            store.history.keep(act_name(name), reviewer, "a", [(kind, tag)], MODEL_VERSION)
    said = {(tag, one.reviewer): one.kind for tag, all_said in store.history.verdicts("a").items() for one in all_said}
    assert said == expected(taken)


def test_an_undo_takes_back_all_of_an_act_and_names_it_again_when_it_is_sent_again(store: ReviewStore) -> None:
    store.history.keep(act_name(1), "Ana", "a", [("accept", "war"), ("accept", "heist")], MODEL_VERSION)
    undone = [row["tag"] for row in store.history.undo(act_name(2), "Ana", MODEL_VERSION)]
    again = [row["tag"] for row in store.history.undo(act_name(2), "Ana", MODEL_VERSION)]
    assert undone == again == ["war", "heist"]
    assert store.history.verdicts("a") == {}
    assert store.history.undo(act_name(3), "Ana", MODEL_VERSION) == []


def test_an_undo_does_not_reach_into_another_catalogue(store: ReviewStore) -> None:
    store.history.keep(act_name(1), "Ana", "a", [("accept", "war")], MODEL_VERSION)
    store.take([(review_film("z"), "text of z")], [])
    assert store.history.undo(act_name(2), "Ana", MODEL_VERSION) == []
    store.take([(review_film("a"), "text of a")], [])
    (undone,) = store.history.undo(act_name(3), "Ana", MODEL_VERSION)
    assert (undone["film"], undone["tag"]) == ("a", "war")


def test_nobody_undoes_what_another_did(store: ReviewStore) -> None:
    store.history.keep(act_name(1), "Ana", "a", [("accept", "war")], MODEL_VERSION)
    assert store.history.undo(act_name(2), "Ben", MODEL_VERSION) == []
    assert list(store.history.verdicts("a")) == ["war"]


def test_reviewers_who_differ_are_in_conflict_until_one_gives_way(store: ReviewStore) -> None:
    for n, (reviewer, kind) in enumerate([("Ana", "accept"), ("Ben", "reject")]):
        store.history.keep(act_name(n), reviewer, "b", [(kind, "war")], MODEL_VERSION)
    (row,) = [row for row in store.rows(store.film("b")) if row.tag == "war"]  # type: ignore[arg-type]
    assert row.conflict
    assert [(one.reviewer, one.kind) for one in row.other_verdicts("Ana")] == [("Ben", "reject")]
    assert ids(store, show="conflicts") == ["b"]
    store.history.keep(act_name(2), "Ben", "b", [("accept", "war")], MODEL_VERSION)
    assert ids(store, show="conflicts") == []


def test_the_queue_begins_with_the_closest_calls_and_ends_with_what_was_skipped(store: ReviewStore) -> None:
    assert ids(store) == ["a", "b", "c", "d"]
    store.history.keep(act_name(1), "Ana", "a", [("skip", None)], MODEL_VERSION)
    store.history.keep(act_name(2), "Ana", "b", [("done", None)], MODEL_VERSION)
    assert ids(store) == ["c", "d", "a"]
    assert ids(store, "Ben") == ["a", "c", "d"]
    assert store.progress() == (4, 1)
    assert store.history.by_reviewer() == {"Ana": 1}


def test_filters_by_state_tag_and_confidence(store: ReviewStore) -> None:
    store.history.keep(act_name(1), "Ana", "a", [("done", None)], MODEL_VERSION)
    store.history.keep(act_name(2), "Ben", "b", [("done", None)], MODEL_VERSION)
    store.history.keep(act_name(3), "Ana", "c", [("skip", None)], MODEL_VERSION)
    assert [ids(store, show=show) for show in ("mine", "others", "skipped", "all")] == [
        ["a"],
        ["b"],
        ["c"],
        ["a", "b", "d", "c"],
    ]
    assert ids(store, show="all", tag="war") == ["a", "b", "d", "c"]
    assert ids(store, show="all", tag="heist") == []
    assert ids(store, show="all", tag="war", sure="high") == ["a", "b"]
    assert ids(store, show="all", sure="middle") == ["d", "c"]
    assert store.count(Filter("all", "war", "middle"), "Ana") == 2


def test_the_films_after_one_follow_it_and_go_round(store: ReviewStore) -> None:
    assert store.after("b", Filter(), "Ana", 10) == ["c", "d", "a"]
    assert store.after("d", Filter(), "Ana", 2) == ["a", "b"]
    store.history.keep(act_name(1), "Ana", "b", [("done", None)], MODEL_VERSION)
    assert store.after("b", Filter(), "Ana", 1) == ["c"]


def test_a_catalogue_taken_again_keeps_the_suggestions_of_films_that_are_the_same(store: ReviewStore) -> None:
    store.history.keep(act_name(1), "Ana", "b", [("accept", "war")], MODEL_VERSION)
    films = [
        (review_film("a"), "text of a"),
        (review_film("b"), "another text"),
        (review_film("c", ["Noir"]), "text of c"),
    ]
    store.take(films, [("war", "genre", 0.5)])
    assert [row["id"] for row in store.unscored(MODEL_VERSION, 10)] == ["b", "c"]
    assert list(store.history.verdicts("b")) == ["war"]
    assert [row["name"] for row in store.tags()] == ["Noir", "war"]
    assert store.unscored_films("another") == 3


def test_texts_and_names_of_any_letters_are_kept_as_they_are(tmp_path: Path) -> None:
    store = review_store(tmp_path / "review.sqlite")
    odd = "'; DROP TABLE film; -- <script>😀"
    store.take([(Film(id=odd, title=odd, tags=[Tag(name=odd)]), odd)], [])
    assert store.film(odd)["text"] == odd  # type: ignore[index]
    assert ids(store, tag=odd) == []
    assert ids(store) == [odd]


@pytest.mark.parametrize("name", ["", "  ", "a\u0000b", "a\nb\u0007", "x" * 101, "\u202e"])
def test_names_that_can_not_be_shown_are_refused(name: str) -> None:
    with pytest.raises(MotagsError, match="printable characters"):
        tag_name(name)
    with pytest.raises(MotagsError, match="printable characters"):
        reviewer_name(name)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database\n" * 500)
    with pytest.raises(MotagsError, match="can't be opened"):
        Database(tmp_path / "text")
    with sqlite3.connect(tmp_path / "foreign") as foreign:
        foreign.execute("CREATE TABLE mine (x)")
    with pytest.raises(MotagsError, match="another program"):
        Database(tmp_path / "foreign")
    with pytest.raises(MotagsError, match="can't be opened"):
        Database(tmp_path / "missing" / "file")
    store = review_store(tmp_path / "review.sqlite")
    store.database.read("PRAGMA user_version = 99")
    with pytest.raises(MotagsError, match="later motags"):
        Database(tmp_path / "review.sqlite")


SAVER = """
import sys
from pathlib import Path
from motags.web.decisions import History
from motags.web.database import Database
history, who = History(Database(Path(sys.argv[1]))), sys.argv[2]
for n in range(int(sys.argv[3])):
    history.keep(f"{who}-{n:08}", who, "a", [("accept", f"tag {n}"), ("reject", f"other {n}")], "v")
    print(n, flush=True)
"""


def saver(path: Path, who: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SAVER, path, who, str(count)], stdout=subprocess.PIPE, text=True)


def kept(path: Path) -> Iterator[tuple[str, int]]:
    for row in Database(path).read("SELECT act, count(*) AS decisions FROM decision GROUP BY act ORDER BY act"):
        yield row["act"], row["decisions"]


def test_two_processes_that_save_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"  # made by whoever comes first
    running = [saver(path, who, 100) for who in ("reviewer-one", "reviewer-two")]
    assert [one.wait(60) for one in running] == [0, 0]
    assert dict(kept(path)) == {f"{who}-{n:08}": 2 for who in ("reviewer-one", "reviewer-two") for n in range(100)}


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_kill_in_the_middle_of_saving_loses_nothing_and_doubles_nothing(tmp_path: Path, after: int) -> None:
    path = tmp_path / "review.sqlite"
    running = saver(path, "reviewer", 10_000)
    assert running.stdout is not None
    said = [int(running.stdout.readline()) for _ in range(after)]
    running.send_signal(signal.SIGKILL)
    said += [int(line) for line in running.stdout]
    running.wait()
    found = dict(kept(path))
    assert set(found.values()) == {2}, "an act is kept whole or not at all"
    assert len(said) <= len(found) <= len(said) + 1
    assert saver(path, "reviewer", len(said) + 1).wait(60) == 0  # all is sent again
    assert dict(kept(path)) == {f"reviewer-{n:08}": 2 for n in range(len(said) + 1)}


def test_suggestions_go_on_when_the_file_is_free_again(store: ReviewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "WAIT", 0.05)
    monkeypatch.setattr(scoring, "PAUSE", 0.05)
    model: Any = SimpleNamespace(
        tags_=["war", "heist"], thresholds_=np.array([0.5, 0.4]), version_="next", text_rules_=TextRules(),
        score=lambda films: SimpleNamespace(known=np.ones(len(films), dtype=bool)),
        held_out=lambda ids, _: np.full((len(ids), 2), 0.9),
    )  # fmt: skip
    scorer = scoring.Scorer(model, store)
    with closing(sqlite3.connect(store.database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        scorer.start()
        time.sleep(0.4)
        assert store.unscored_films("next") == 4
    deadline = time.monotonic() + 20
    while store.unscored_films("next") and time.monotonic() < deadline:
        time.sleep(0.01)
    scorer.stop()
    assert store.predicted(["a"]) == {"a": ["heist", "war"]}


def test_uncertainty_counts_the_close_calls() -> None:
    thresholds = np.array([0.5, 0.3], dtype=np.float32)
    scores = np.array([[0.5, 0.3], [0.5, 0.9], [0.99, 0.01], [0.55, 0.3]], dtype=np.float32)
    found = uncertainty(scores, thresholds)
    assert found[:3].tolist() == pytest.approx([2.0, 1.0, 0.0], abs=1e-6)
    assert 1 < found[3] < 2


def test_tags_at_their_thresholds_are_shown_and_the_five_closest_below() -> None:
    scores = np.array([[0.6, 0.49, 0.4, 0.3, 0.2, 0.1, 0.05, 0.5]], dtype=np.float32)
    assert tags_to_show(scores, np.full(8, 0.5, dtype=np.float32)).tolist() == [[True] * 6 + [False, True]]


@given(text=st.text(max_size=60), data=st.data())
def test_pieces_put_together_are_the_text(text: str, data: st.DataObject) -> None:
    spot = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(spot, spot, st.floats(-5, 5)), max_size=8))
    cut = pieces(text, [(min(a, b), max(a, b), weight) for a, b, weight in spans])
    assert "".join(piece for piece, _ in cut) == text
    assert all(-1 <= weight <= 1 for _, weight in cut)


def named_store(path: Path) -> ReviewStore:
    """Films whose titles and people are spelled in many ways."""
    store = ReviewStore(Database(path))
    told: dict[str, dict[str, Any]] = {
        "amelie": {"title": "Le Fabuleux Destin d\u2019Amélie", "directors": ["Jean-Pierre Jeunet"]},
        "ida": {"title": "Ida", "directors": ["Paweł Pawlikowski"], "writers": ["Rebecca Lenkiewicz"]},
        "wolf": {"title": "100% Wolf", "cast": ["Ilai Swindells"]},
        "wolves": {"title": "100 Wolves", "cast": ["A_B"]},
        "oe": {"title": "STRASSE", "cast": ["Bjørn Ærlig", "İlker Çelik"]},
    }
    store.take([(Film(id=name, **fields), "") for name, fields in told.items()], [])
    return store


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("amelie", ["amelie"]), ("D'AMÉLIE", ["amelie"]), ("ame\u0301lie jeunet", ["amelie"]),
        ("PAWEL", ["ida"]), ("lenkiewicz", ["ida"]), ("pawlikowski ida", ["ida"]), ("ida jeunet", []),
        ("100%", ["wolf"]), ("%", ["wolf"]), ("_", ["wolves"]), ("a_b", ["wolves"]), ("100", ["wolf", "wolves"]),
        ("straße", ["oe"]), ("bjorn aerlig", ["oe"]), ("ilker celik", ["oe"]), ("'; DROP TABLE film; --", []),
        ("", ["amelie", "ida", "oe", "wolf", "wolves"]), (" \u0301 ", ["amelie", "ida", "oe", "wolf", "wolves"]),
        (" ".join(f"{n}" for n in range(100)), []),
    ],
)  # fmt: skip
def test_films_are_found_by_title_and_people_whatever_the_case_and_accents(
    q: str, found: list[str], tmp_path: Path
) -> None:
    store = named_store(tmp_path / "review.sqlite")
    assert ids(store, q=q) == found
    assert store.count(Filter(q=q), "Ana") == len(found)


def test_a_search_goes_with_the_other_filters_and_from_film_to_film(tmp_path: Path) -> None:
    store = named_store(tmp_path / "review.sqlite")
    store.suggest(MODEL_VERSION, [Scored("wolves", 1.0, [("war", 0.9, True)])])
    assert ids(store, q="100", tag="war") == ["wolves"]
    assert store.after("wolf", Filter(q="100"), "Ana", 5) == ["wolves"]
    store.history.keep(act_name(1), "Ana", "wolf", [("done", None)], MODEL_VERSION)
    assert ids(store, q="wol") == ["wolves"]
    assert ids(store, q="wol", show="mine") == ["wolf"]
    assert Filter(q="100 %").query() == {"q": "100 %"}
    assert store.people(["oe", "ida"], "BJORN") == {"oe": ["Bjørn Ærlig"], "ida": []}


def test_a_file_of_an_earlier_motags_is_opened_and_can_be_searched(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    review_store(path).history.keep(act_name(1), "Ana", "a", [("accept", "war")], MODEL_VERSION)
    with closing(sqlite3.connect(path, isolation_level=None)) as earlier:
        earlier.execute("DROP TABLE search")
    store = ReviewStore(Database(path))
    assert list(store.history.verdicts("a")) == ["war"]
    assert ids(store) == ["a", "b", "c", "d"]
    assert ids(store, q="title") == []
    store.take([(review_film("a"), "text of a")], [])
    assert ids(store, q="title of a") == ["a"]
