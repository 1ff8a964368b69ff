"""What a review gives: a catalogue that trains, tasks for Label Studio and back, a table for recommenders."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from defusedxml import ElementTree

from builders import MODEL_VERSION, act_name, review_film, review_store
from motags.errors import MotagsError
from motags.films.catalogue import read_catalogue
from motags.films.film import Film
from motags.films.text import TextRules
from motags.tagger.model import Model
from motags.web.database import Database
from motags.web.exports import write_catalogue, write_table
from motags.web.label_studio import read_label_studio, write_label_studio
from motags.web.loading import take
from motags.web.store import ReviewStore, Scored

Json = Any


@pytest.fixture
def review(tmp_path: Path) -> Path:
    """Films a to d, where `a` has tags in the catalogue, and the model gives `war` to all."""
    path = tmp_path / "review.sqlite"
    review_store(path, tags={"a": ["Drama", "war"]})
    return path


def decide(path: Path, film: str, *decisions: tuple[str, str | None], who: str = "Ana") -> None:
    history = ReviewStore(Database(path)).history
    number = history.database.read("SELECT count(*) FROM decision")[0][0]
    history.keep(act_name(number), who, film, decisions, MODEL_VERSION)


def tags_of(path: Path) -> dict[str, dict[str, str | None]]:
    films, aside = [Film.model_validate_json(line) for line in path.read_text().splitlines()], []
    assert not aside
    return {film.id: {tag.name: tag.kind for tag in film.tags} for film in films}


def test_the_catalogue_has_what_was_decided_of_films_that_are_done(review: Path, tmp_path: Path) -> None:
    decide(review, "a", ("reject", "war"), ("add", "new tag"), ("accept", "heist"), ("done", None))
    decide(review, "b", ("accept", "war"), ("reject", "heist"), ("done", None))
    decide(review, "c", ("accept", "war"))
    counts = write_catalogue(review, tmp_path / "films.jsonl")
    assert tags_of(tmp_path / "films.jsonl") == {
        "a": {"Drama": None, "heist": "keyword", "new tag": None},
        "b": {"war": "genre"},
        "c": {},
        "d": {},
    }
    assert (counts.lines, counts.done, counts.waiting, counts.ties) == (4, 2, 1, 0)


def test_the_majority_decides_and_a_tie_leaves_the_catalogue_as_it_is(review: Path, tmp_path: Path) -> None:
    for who, said in {"Ana": "accept", "Ben": "reject"}.items():
        decide(review, "a", (said, "war"), (said, "heist"), ("done", None), who=who)
    counts = write_catalogue(review, tmp_path / "films.jsonl")
    assert list(tags_of(tmp_path / "films.jsonl")["a"]) == ["Drama", "war"]
    assert counts.ties == 2
    decide(review, "a", ("reject", "war"), ("accept", "heist"), who="Cleo")
    write_catalogue(review, tmp_path / "films.jsonl")
    assert list(tags_of(tmp_path / "films.jsonl")["a"]) == ["Drama", "heist"]


def test_titles_texts_and_years_come_through(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    store = review_store(path)
    given = review_film("a").model_copy(update={"title": '"<Neo>=1+1"', "plot": "A\nB", "synopsis": "C", "year": None})
    store.take([(given, "A B")], [])
    write_catalogue(path, tmp_path / "films.jsonl")
    (found,), _ = read_catalogue(tmp_path / "films.jsonl", 0.0)
    assert (found.title, found.plot, found.synopsis, found.year) == (given.title, "A\nB", "C", None)


def test_the_table_says_1_0_or_the_score(review: Path, tmp_path: Path) -> None:
    decide(review, "b", ("reject", "war"), ("accept", "heist"))
    write_table(review, tmp_path / "tags.csv", scores=True)
    header, *rows = csv.reader((tmp_path / "tags.csv").open(encoding="utf-8-sig", newline=""))
    assert header == ["film", "tag", "value"]
    assert rows == [
        *(["a", "Drama", "1"], ["a", "war", "1"], ["b", "heist", "1"], ["b", "war", "0"]),
        *(["c", "war", "0.7"], ["d", "war", "0.6"]),
    ]
    write_table(review, tmp_path / "tags.csv")
    assert len((tmp_path / "tags.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("tag", ["=1+1", "+1", "-1", "@SUM(A1)", "=HYPERLINK(\"x\")"])  # fmt: skip
def test_no_cell_of_the_table_is_a_formula(review: Path, tmp_path: Path, tag: str) -> None:
    store = ReviewStore(Database(review))
    store.take([(review_film(tag, [tag]), "text")], [])
    write_table(review, tmp_path / "tags.csv")
    assert list(csv.reader((tmp_path / "tags.csv").open(newline="")))[1] == [f"'{tag}", f"'{tag}", "1"]


def test_without_a_review_nothing_is_written(tmp_path: Path) -> None:
    for write in (write_catalogue, write_table, write_label_studio):
        with pytest.raises(MotagsError, match="is missing"):
            write(tmp_path / "none.sqlite", tmp_path / "new")
    assert not list(tmp_path.iterdir())


def exported(tmp_path: Path, review: Path) -> list[Json]:
    write_label_studio(review, tmp_path / "tasks.json")
    return json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))


def annotated(task: Json, tags: list[str], number: int = 1, **more: Json) -> Json:
    """A task as Label Studio exports it, with one annotation; of predictions it gives the numbers."""
    result = [{"from_name": "tags", "to_name": "text", "type": "choices", "value": {"choices": tags}}]
    annotations = [{"id": number, "completed_by": 7, "result": result} | more]
    return task | {"id": number, "annotations": annotations, "predictions": [286]}


def test_label_studio_gets_texts_predictions_and_a_set_up_that_fits(review: Path, tmp_path: Path) -> None:
    first, *_ = tasks = exported(tmp_path, review)
    assert len(tasks) == 4
    told = {"film": "a", "title": "Title of a", "year": 1999, "text": "text of a"}
    assert first["data"] == told | {"predicted": ["war"], "model_version": MODEL_VERSION}
    (prediction,) = first["predictions"]
    (part,) = prediction["result"]
    assert prediction["model_version"] == MODEL_VERSION
    assert prediction["score"] == pytest.approx(0.9)
    assert part == {"from_name": "tags", "to_name": "text", "type": "choices", "value": {"choices": ["war"]}}
    view = ElementTree.parse(tmp_path / "tasks.xml").getroot()
    names = {element.get("name"): element for element in view.iter() if element.get("name")}
    assert names[part["from_name"]].get("toName") == part["to_name"]
    assert names["text"].get("value") == "$text"
    assert {choice.get("value") for choice in view.iter("Choice")} == {"Drama", "war", "heist"}


def test_what_was_decided_in_label_studio_comes_back_once(review: Path, tmp_path: Path) -> None:
    tasks = exported(tmp_path, review)
    done = [
        annotated(tasks[0], ["Drama", "brand new"]),
        annotated(tasks[1], ["war"], 2, completed_by={"email": "b@x.org"}),
    ]
    done += [annotated(tasks[2], ["war"], 3, was_cancelled=True), tasks[3] | {"annotations": []}]
    (tmp_path / "back.json").write_text(json.dumps(done))
    first, again = (read_label_studio(review, tmp_path / "back.json") for _ in range(2))
    assert (first.kept, first.known, first.set_aside) == (2, 0, [])
    assert (again.kept, again.known) == (0, 2)
    history = ReviewStore(Database(review)).history
    said = {tag: [(one.reviewer, one.kind) for one in verdicts] for tag, verdicts in history.verdicts("a").items()}
    who = "label-studio-7"
    assert said == {"Drama": [(who, "accept")], "war": [(who, "reject")], "brand new": [(who, "add")]}
    assert history.done_by() == {"a": [who], "b": ["b@x.org"]}
    write_catalogue(review, tmp_path / "films.jsonl")
    assert set(tags_of(tmp_path / "films.jsonl")["a"]) == {"Drama", "brand new"}


def test_tags_that_no_annotator_saw_stay_as_they_are(review: Path, tmp_path: Path) -> None:
    task = annotated(exported(tmp_path, review)[0], ["war"])
    (tmp_path / "back.json").write_text(json.dumps([task]))
    assert read_label_studio(review, tmp_path / "back.json").kept == 1
    write_catalogue(review, tmp_path / "films.jsonl")
    assert set(tags_of(tmp_path / "films.jsonl")["a"]) == {"Drama", "war"}


def test_of_a_task_that_was_not_made_here_nothing_is_rejected(review: Path, tmp_path: Path) -> None:
    (tmp_path / "back.json").write_text(json.dumps([annotated({"data": {"film": "a"}}, ["Drama"])]))
    assert read_label_studio(review, tmp_path / "back.json").kept == 1
    said = ReviewStore(Database(review)).history.verdicts("a")
    assert {tag: verdicts[0].kind for tag, verdicts in said.items()} == {"Drama": "accept"}


def test_what_another_model_suggests_by_now_was_not_before_the_annotator(review: Path, tmp_path: Path) -> None:
    task = annotated(exported(tmp_path, review)[1], ["war"])
    store = ReviewStore(Database(review))
    store.suggest("another", [Scored("b", 1.0, [("war", 0.8, True), ("heist", 0.7, True)])])
    (tmp_path / "back.json").write_text(json.dumps([task]))
    assert read_label_studio(review, tmp_path / "back.json").kept == 1
    assert list(store.history.verdicts("b")) == ["war"]
    first, *_ = store.database.read("SELECT version, score FROM decision ORDER BY seq")
    assert tuple(first) == (MODEL_VERSION, None)  # the score that it had then is not kept


def test_a_tag_of_any_name_that_the_catalogue_has_can_be_chosen(tmp_path: Path) -> None:
    path, long = tmp_path / "review.sqlite", "x" * 150
    review_store(path).take([(review_film("a", [long]), "text of a")], [("war", "genre", 0.5)])
    task = annotated(exported(tmp_path, path)[0], [long])
    (tmp_path / "back.json").write_text(json.dumps([task]))
    assert read_label_studio(path, tmp_path / "back.json").set_aside == []


def test_the_file_of_decisions_is_never_overwritten(review: Path, tmp_path: Path) -> None:
    before = review.read_bytes()
    for write in (write_catalogue, write_table, write_label_studio):
        with pytest.raises(MotagsError, match="is the file of decisions itself"):
            write(review, review)
    with pytest.raises(MotagsError, match=r"tasks\.xml is where the labelling set-up goes"):
        write_label_studio(review, tmp_path / "tasks.xml")
    assert review.read_bytes() == before


def test_an_annotation_that_was_changed_counts_as_it_is_now(review: Path, tmp_path: Path) -> None:
    task = exported(tmp_path, review)[1]
    for chosen in (["war"], ["heist"]):
        (tmp_path / "back.json").write_text(json.dumps([annotated(task, chosen, updated_at=chosen[0])]))
        assert read_label_studio(review, tmp_path / "back.json").kept == 1
    said = ReviewStore(Database(review)).history.verdicts("b")
    assert {tag: verdicts[0].kind for tag, verdicts in said.items()} == {"war": "reject", "heist": "accept"}


@pytest.mark.parametrize(
    "task",
    [
        *(None, 7, [], {}, {"data": {}}, {"data": {"film": "a"}}, {"data": {"film": "none"}, "annotations": []}),
        {"data": {"film": "a"}, "annotations": [{"result": [{"type": "choices"}]}]},
        {"data": {"film": "a"}, "annotations": [{"result": [{"type": "choices", "from_name": "tags", "value": 1}]}]},
        {"data": {"film": "a"}, "annotations": [{"result": [], "completed_by": {"email": "\u0007"}}]},
        annotated({"data": {"film": "a"}}, [7]),  # type: ignore[list-item]
        *(annotated({"data": {"film": "a", "predicted": odd}}, []) for odd in (3, [3], [""], "war", None)),
    ],
)
def test_a_task_that_does_not_fit_is_set_aside_and_the_others_count(review: Path, tmp_path: Path, task: Json) -> None:
    good = annotated(exported(tmp_path, review)[1], ["war"])
    (tmp_path / "back.json").write_text(json.dumps([task, good]))
    back = read_label_studio(review, tmp_path / "back.json")
    assert back.kept == 1
    assert len(back.set_aside) == 1
    assert back.set_aside[0].startswith("back.json, task 1: ")
    assert len(ReviewStore(Database(review)).history.all_verdicts()) == 1


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, "\x00", '{"a": 1'])
def test_a_file_that_is_no_export_is_refused(review: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "back.json").write_text(text)
    with pytest.raises(MotagsError, match=r"back\.json"):
        read_label_studio(review, tmp_path / "back.json")
    with pytest.raises(MotagsError, match="is missing"):
        read_label_studio(review, tmp_path / "none.json")


def test_a_catalogue_is_read_as_motags_tag_reads_it(tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_text(
        "id,title,text,synopsis,tags\n1,One,Its text.,Its synopsis.,drama|Noir\n2,Two,Only a text.,,DRAMA|Drama\n"
    )
    store = ReviewStore(Database(tmp_path / "review.sqlite"))
    model = SimpleNamespace(
        tags_=["Drama", "War"], kinds_=["genre", "genre"], thresholds_=np.array([0.5, 0.4]), text_rules_=TextRules()
    )  # fmt: skip
    take(store, tmp_path / "films.csv", cast("Model", model))
    assert [row["text"] for row in store.unscored("v", 9)] == ["One. Its text.", "Two. Only a text."]
    write_catalogue(tmp_path / "review.sqlite", tmp_path / "films.jsonl")
    assert tags_of(tmp_path / "films.jsonl") == {"1": {"Drama": None, "Noir": None}, "2": {"Drama": None}}
    (_, two), _ = read_catalogue(tmp_path / "films.jsonl", 0.0)
    assert two.plot == "Only a text."


def test_a_text_longer_than_what_is_read_is_exported_whole(tmp_path: Path) -> None:
    long = " ".join(["word"] * 1000)
    (tmp_path / "films.csv").write_text(f"id,title,text\n1,One,{long}\n")
    store = ReviewStore(Database(tmp_path / "review.sqlite"))
    model = SimpleNamespace(tags_=["Drama"], kinds_=["genre"], thresholds_=np.array([0.5]), text_rules_=TextRules())
    take(store, tmp_path / "films.csv", cast("Model", model))
    (read,) = store.unscored("v", 9)
    assert len(read["text"].split()) == 1 + TextRules().max_words  # after the title
    write_catalogue(tmp_path / "review.sqlite", tmp_path / "films.jsonl")
    (one,), _ = read_catalogue(tmp_path / "films.jsonl", 0.0)
    assert one.plot == long


def test_of_films_with_one_id_title_and_text_are_those_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_text("id,title,text\n1,Alien,In space.\n1,Heat,In Los Angeles.\n")
    store = ReviewStore(Database(tmp_path / "review.sqlite"))
    model = SimpleNamespace(tags_=["Drama"], kinds_=["genre"], thresholds_=np.array([0.5]), text_rules_=TextRules())
    take(store, tmp_path / "films.csv", cast("Model", model), 0.5)
    one = store.film("1")
    assert one
    assert (one["title"], one["text"]) == ("Alien", "Alien. In space.")
