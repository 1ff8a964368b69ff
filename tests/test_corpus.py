"""Films into texts and tags: every film is kept by a stated rule or counted as dropped."""

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from motags.artifacts import read_parquet, write_parquet
from motags.corpus import Corpus, DatasetParams, fuse, long_tail, normalise, statistics, text_keys, words_of
from motags.errors import MotagsError
from motags.films import Film

GENRES = ["Drama", "Family", "Science Fiction"]
TEXT = "four words of text"


def params(**changes: Any) -> DatasetParams:
    numbers = {"max_tags": 10, "min_films": 2, "min_plot_words": 6, "min_words": 3, "max_words": 12}
    return DatasetParams(**({"genres": GENRES, "homonyms": ["family"]} | numbers | changes))


def film(key: str, synopsis: str | None = TEXT, tags: tuple[str, ...] = ("Drama",), plot: str | None = None) -> Film:
    return Film(id=key, title=key.upper(), synopsis=synopsis, plot=plot, tags=list(tags), source="films.csv")


def ten() -> list[Film]:
    return [film(f"f{i}") for i in range(10)]


def tagged(*tag_sets: str) -> list[Film]:
    """A film a string, whose letters are its tags."""
    return [film(f"f{i:02}", tags=tuple(tags)) for i, tags in enumerate(tag_sets)]


def vocabulary(films: list[Film], **changes: Any) -> list[str]:
    return Corpus.from_frame(fuse(films, params(**changes))[0]).tags


@settings(max_examples=200, deadline=None)
@given(plot=st.integers(0, 15), synopsis=st.integers(0, 15))
@example(plot=5, synopsis=0)
@example(plot=6, synopsis=15)
@example(plot=5, synopsis=1)
def test_the_text_is_an_extended_plot_else_the_synopsis_else_the_short_plot(plot: int, synopsis: int) -> None:
    source = "plot" if plot >= 6 or synopsis == 0 else "synopsis"
    words = {"plot": ["p"] * plot, "synopsis": ["s"] * synopsis}[source]
    texts = {"plot": " ".join(["p"] * plot) or None, "synopsis": "\n".join(["s"] * synopsis) or None}
    frame, dropped = fuse([*ten(), film("x", **texts)], params())
    rows = frame[frame["id"] == "x"]
    if len(words) >= 3:
        assert rows[["text", "text_source"]].to_numpy().tolist() == [[" ".join(words[:12]), source]]
        assert sum(dropped.values()) == 0
    else:
        assert len(rows) == 0
        assert dropped == {"no_text": int(not words), "short_text": int(bool(words)), "no_tags": 0}


def test_a_row_says_where_its_text_and_tags_come_from() -> None:
    own = Film(id="x", title="X", year=1999, synopsis=TEXT, tags=["drama", "rare"], source="mine.csv")
    frame, _ = fuse([*ten(), own], params())
    assert frame.iloc[-1].to_dict() == {
        "id": "x", "title": "X", "year": 1999, "text": TEXT, "text_source": "synopsis", "text_from": "mine.csv",
        "tags": ["Drama"], "tags_from": "mine.csv",
    }  # fmt: skip
    assert frame["year"].isna().sum() == 10


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a " * 500_000, "a a a a a a a a a a a a"),
        ("😀 👩‍👩‍👧 🎬", "😀 👩‍👩‍👧 🎬"),
        ("סרט על ים وفيلم \u202eabc", "סרט על ים وفيلم \u202eabc"),
        ("<b>bold</b> & <script>alert(1)</script>  plot", "<b>bold</b> & <script>alert(1)</script> plot"),
        ("=CSV() runs away", "=CSV() runs away"),
        ("one\x00two\x1b\tthree\x85four", "one two three four"),
        ("cafe\u0301 by\u00a0the\u2028sea", "café by the sea"),
    ],
    ids=["a million characters", "emoji", "right to left", "HTML", "formula", "control characters", "Unicode"],
)
def test_an_odd_text_is_kept(tmp_path: Path, text: str, kept: str) -> None:
    frame, dropped = fuse([*ten(), film("x", text)], params())
    assert frame["text"].iloc[-1] == kept
    assert sum(dropped.values()) == 0
    write_parquet(tmp_path / "films.parquet", frame)
    assert Corpus.from_frame(read_parquet(tmp_path / "films.parquet")).digest == Corpus.from_frame(frame).digest


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "no_text"), ("\x00 \x1b", "no_text"), ("one", "short_text"), ("x" * 1_000_000, "short_text")],
    ids=["no text", "control characters", "one word", "one word of a million letters"],
)
def test_a_film_with_too_little_text_is_dropped_and_counted(text: str | None, reason: str) -> None:
    frame, dropped = fuse([*ten(), film("x", text)], params())
    assert list(frame["id"]) == [own.id for own in ten()]
    assert dropped == {"no_text": 0, "short_text": 0, "no_tags": 0} | {reason: 1}


@pytest.mark.parametrize("tags", [(), ("rare",), (" ",)])
def test_a_film_without_a_tag_of_the_vocabulary_is_dropped_and_counted(tags: tuple[str, ...]) -> None:
    frame, dropped = fuse([*ten(), film("x", tags=tags)], params())
    assert len(frame) == 10
    assert dropped == {"no_text": 0, "short_text": 0, "no_tags": 1}


def test_fewer_than_ten_films_are_refused() -> None:
    assert len(fuse(ten(), params())[0]) == 10
    with pytest.raises(MotagsError, match=r"9 of 11 films .*at least 10 .*crawl\.catalogue"):
        fuse([*ten()[1:], film("x", "short"), film("y", tags=("rare",))], params())
    with pytest.raises(MotagsError, match="0 of 0 films"):
        fuse([], params())


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("Drama", "Drama"),
        ("  dRAMA ", "Drama"),
        ("\uff24\uff52\uff41\uff4d\uff41", "Drama"),  # full-width letters
        ("science\u00a0\n FICTION", "Science Fiction"),
        ("Family", "Family"),
        (" Family", "Family"),
        ("family", "family"),  # the theme, not the audience
        ("FAMILY", "family"),
        ("Sea  Voyage", "sea voyage"),
        ("CAFE\u0301", "café"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ﬁlm noir", "film noir"),
        (" \t", ""),
    ],
)
def test_a_tag_has_one_spelling(tag: str, name: str) -> None:
    assert normalise(tag, GENRES, ["family"]) == name


def test_a_genre_matches_in_either_form_of_unicode() -> None:
    for form in ("NFC", "NFD"):
        genre = unicodedata.normalize(form, "Comédie")
        assert normalise("COME\u0301DIE", [genre], []) == normalise("com\u00e9die", [genre], []) == genre


@pytest.mark.parametrize("tag", ["sea", "straße", "\u0390\u03b4"])
def test_a_tag_in_capitals_is_the_same_tag(tag: str) -> None:
    assert normalise(tag.upper(), GENRES, []) == normalise(tag, GENRES, [])


@settings(max_examples=300, deadline=None)
@given(tag=st.text() | st.sampled_from([*GENRES, "family"]))
@example(tag="ß\u0301")  # folding it makes letters that compose
def test_normalising_twice_changes_nothing(tag: str) -> None:
    once = normalise(tag, GENRES, ["family"])
    assert normalise(once, GENRES, ["family"]) == once
    assert normalise(f" {tag}\n", GENRES, ["family"]) == once


def test_the_vocabulary_is_the_most_frequent_tags_and_ties_go_by_name() -> None:
    films = tagged("ade", "ad", "abe", "ac", *["abc"] * 2, *["d"] * 5)  # a 6, b 3, c 3, d 7, e 2
    assert vocabulary(films) == ["d", "a", "b", "c", "e"]
    assert vocabulary(films, max_tags=3) == ["d", "a", "b"]
    assert vocabulary(films, min_films=3) == ["d", "a", "b", "c"]
    assert vocabulary(films, min_films=4, max_tags=3) == ["d", "a"]


def test_a_tag_counts_once_a_film_and_only_in_films_with_a_text() -> None:
    twice = [
        film("x", tags=("sea", "SEA", "storm")),
        film("y", None, tags=("sea", "storm")),
        film("z", tags=("storm",)),
    ]
    frame, _ = fuse([*ten(), *twice], params())
    assert frame["tags"].tolist()[-2:] == [["storm"], ["storm"]]  # one film with a text bears "sea"


@settings(max_examples=50, deadline=None)
@given(films=st.permutations([*tagged(*"abcabcabcabcd"), film("x", None), film("y", "short"), film("z", tags=())]))
def test_rows_in_another_order_give_an_equal_frame(films: list[Film]) -> None:
    frame, dropped = fuse(films, params())
    expected, expected_dropped = fuse(sorted(films, key=lambda own: own.id), params())
    pd.testing.assert_frame_equal(frame, expected)
    assert dropped == expected_dropped == {"no_text": 1, "short_text": 1, "no_tags": 2}


def test_statistics_are_those_counted_by_hand() -> None:
    texts = [f"film {i} here" for i in range(8)] + ["The very same text.", "the VERY same -- text"]
    films = [film(f"f{i}", text, ("Drama", "sea", "storm")[: 1 + (i < 4) + (i < 2)]) for i, text in enumerate(texts)]
    films[0] = film("f0", "ignored for the plot", ("Drama", "sea", "storm"), "a plot of all of seven words")
    frame, dropped = fuse(films, params())
    assert statistics(frame, dropped) == {
        "films": 10,
        "tags": 3,
        "tags_per_film": 1.6,  # 10 + 4 + 2
        "words_per_film": 3.7,  # 7 + 7 * 3 + 4 + 5
        "plots": 0.1,
        "films_with_the_text_of_another": 1,
        "dropped": {"no_text": 0, "short_text": 0, "no_tags": 0},
    }


def test_text_keys_ignore_case_punctuation_and_space_only() -> None:
    first, second, third, symbols, others = text_keys(
        ["A sea, a storm!", "a SEA -- a  storm", "a sea storm", "?!", "?"]
    )
    assert first == second
    assert len({first, third, symbols, others}) == 4


def test_the_long_tail_is_sorted_and_tells_genres_from_keywords() -> None:
    films = [
        film(f"f{i}", tags=("Drama", *["sea"] * (i < 4), *["calm"] * (i > 5), *["Family"] * (i < 5))) for i in range(10)
    ]
    films.append(film("x", tags=("family", "Family")))
    films.append(film("y", tags=("family",)))
    expected = [
        ("Drama", 10, "genre"), ("Family", 6, "genre"), ("calm", 4, "keyword"), ("sea", 4, "keyword"),
        ("family", 2, "keyword"),
    ]  # fmt: skip
    tail = long_tail(fuse(films, params())[0], GENRES)
    assert list(tail.columns) == ["tag", "films", "kind"]
    assert list(tail.itertuples(index=False, name=None)) == expected


def test_a_corpus_holds_the_tags_of_each_film() -> None:
    corpus = Corpus.from_frame(fuse(tagged("b", "ab", *["a"] * 8), params(min_films=2))[0])
    assert corpus.tags == ["a", "b"]
    assert corpus.ids == [f"f{i:02}" for i in range(10)]
    assert corpus.titles[0] == "F00"
    assert corpus.texts == [TEXT] * 10
    np.testing.assert_array_equal(corpus.Y, [[False, True], [True, True], *[[True, False]] * 8])


def test_a_part_has_the_rows_asked_for_and_the_tags_of_all() -> None:
    whole = Corpus.from_frame(fuse(tagged("b", "ab", *["a"] * 8), params())[0])
    part = whole.part(np.array([5, 0]))
    assert (part.ids, part.titles, part.tags) == (["f05", "f00"], ["F05", "F00"], ["a", "b"])
    np.testing.assert_array_equal(part.Y, [[True, False], [False, True]])


def test_a_tag_may_be_in_all_films() -> None:
    frame, dropped = fuse(ten(), params())
    corpus = Corpus.from_frame(frame)
    assert corpus.tags == ["Drama"]
    assert corpus.Y.all()
    assert statistics(frame, dropped)["tags_per_film"] == 1.0


def test_the_digest_differs_when_text_tags_or_labels_do() -> None:
    Y = np.array([[True, False], [True, True], [False, True]])
    corpus = Corpus(["a", "b", "c"], ["A", "B", "C"], ["x", "y", "z"], ["sea", "storm"], Y)
    others = [
        replace(corpus, ids=["a", "b", "d"]),
        replace(corpus, texts=["x", "y", "zz"]),
        replace(corpus, texts=["y", "x", "z"]),
        replace(corpus, tags=["sea", "war"]),
        replace(corpus, tags=["storm", "sea"]),
        replace(corpus, Y=~Y),
        corpus.part(np.array([0, 1])),
        corpus.part(np.array([1, 0, 2])),
    ]
    for i, j in np.ndindex(Y.shape):
        flipped = Y.copy()
        flipped[i, j] ^= True
        others.append(replace(corpus, Y=flipped))
    digests = [own.digest for own in (corpus, *others)]
    assert len(set(digests)) == len(digests)
    assert replace(corpus, Y=Y.copy()).digest == corpus.digest


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_words_hold_no_space_and_no_control_character_and_lose_no_letter(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words
    composed = unicodedata.normalize("NFC", text)
    assert "".join(words) == "".join(c for c in composed if not c.isspace() and unicodedata.category(c) != "Cc")
