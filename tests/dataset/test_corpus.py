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

from motags.dataset.corpus import Corpus, text_keys
from motags.dataset.fuse import DatasetParams, fuse, long_tail, statistics
from motags.errors import MotagsError
from motags.films.film import Film, Tag
from motags.films.text import words_of
from motags.tables import read_parquet, write_parquet

GENRES = ["Drama", "Family", "Science Fiction"]
TEXT = "four words of text"


def params(**changes: Any) -> DatasetParams:
    numbers = {"max_tags": 10, "min_films": 2, "min_plot_words": 6, "min_words": 3, "max_words": 12}
    texts = {"text": "plot_first", "lead": True, "genres": GENRES, "homonyms": ["family"], "excluded": []}
    return DatasetParams(**(texts | numbers | changes))


def film(key: str, synopsis: str | None = TEXT, tags: tuple[str | Tag, ...] = ("Drama",), **texts: str | None) -> Film:
    return Film(id=key, title=key.upper(), synopsis=synopsis, tags=list(tags), **texts)


def ten() -> list[Film]:
    return [film(f"f{i}") for i in range(10)]


def tagged(*tag_sets: str) -> list[Film]:
    """A film a string, whose letters are its tags."""
    return [film(f"f{i:02}", tags=tuple(tags)) for i, tags in enumerate(tag_sets)]


def vocabulary(films: list[Film], **changes: Any) -> list[str]:
    return Corpus.from_frame(fuse(films, {}, params(**changes))[0]).tags


def chosen(text: str, lead: bool, plot: int, synopsis: int, words_of_lead: int) -> str:
    """The rule in other words: which fields become the text, by how many words each has."""
    stands_in = lead and not synopsis
    short = "lead" * bool(words_of_lead) if stands_in else "synopsis" * bool(synopsis)
    if not (plot and short):
        return short or "plot" * bool(plot)
    return {"plot_first": "plot" if plot >= 6 else short, "synopsis_first": short, "both": f"{short}+plot"}[text]


LENGTHS = st.sampled_from([0, 1, 2, 3, 5, 6, 7, 11, 12, 13, 30])


@pytest.mark.slow
@settings(max_examples=400)
@given(text=st.sampled_from(["plot_first", "synopsis_first", "both"]), lead=st.booleans(),
       plot=LENGTHS, synopsis=LENGTHS, words_of_lead=LENGTHS)  # fmt: skip
@example(text="plot_first", lead=False, plot=5, synopsis=0, words_of_lead=9)
@example(text="plot_first", lead=True, plot=5, synopsis=0, words_of_lead=9)
@example(text="plot_first", lead=True, plot=6, synopsis=15, words_of_lead=9)
@example(text="synopsis_first", lead=True, plot=13, synopsis=1, words_of_lead=9)
@example(text="both", lead=True, plot=2, synopsis=11, words_of_lead=9)
def test_the_text_is_chosen_by_the_rule_cut_and_dropped_if_short(
    text: str, lead: bool, plot: int, synopsis: int, words_of_lead: int
) -> None:
    words = {"plot": ["p"] * plot, "synopsis": ["s"] * synopsis, "lead": ["l"] * words_of_lead}
    fields = {field: "\n".join(own) or None for field, own in words.items()}
    source = chosen(text, lead, plot, synopsis, words_of_lead)
    expected = [word for field in source.split("+") if field for word in words[field]]
    frame, dropped = fuse([*ten(), film("x", **fields)], {}, params(text=text, lead=lead))
    rows = frame[frame["id"] == "x"]
    if len(expected) >= 3:
        assert rows[["text", "text_source"]].to_numpy().tolist() == [[" ".join(expected[:12]), source]]
        assert sum(dropped.values()) == 0
    else:
        assert len(rows) == 0
        assert dropped == {"no_text": int(not expected), "short_text": int(bool(expected)), "no_tags": 0}


def test_a_row_says_where_its_text_and_tags_come_from() -> None:
    tags = [Tag(name="drama", sources=["tmdb", "mine.csv"]), Tag(name="rare", sources=["wiki"])]
    own = Film(
        id="x", title="X", year=1999, synopsis=TEXT, tags=tags, origins={"synopsis": "mine.csv", "title": "wiki"}
    )
    frame, _ = fuse([*ten(), own], {}, params())
    assert frame.iloc[-1].to_dict() == {
        "id": "x", "title": "X", "year": 1999, "text": TEXT, "text_source": "synopsis", "text_from": "mine.csv",
        "tags": ["Drama"], "genres": ["Drama"], "tags_from": "mine.csv+tmdb+wiki",
    }  # fmt: skip
    assert frame["year"].isna().sum() == 10


@pytest.mark.parametrize(
    ("fields", "origins", "text_from"),
    [
        ({"lead": TEXT}, {"lead": "wiki"}, "wiki"),
        ({"synopsis": TEXT, "plot": TEXT}, {"synopsis": "tmdb", "plot": "wiki"}, "tmdb+wiki"),
        ({"lead": TEXT, "plot": TEXT}, {"lead": "wiki", "plot": "wiki"}, "wiki"),
        ({"plot": TEXT}, {}, ""),
    ],
)
def test_a_text_of_two_fields_says_where_both_come_from(
    fields: dict[str, str], origins: dict[str, str], text_from: str
) -> None:
    own = Film(id="x", title="X", tags=["Drama"], origins=origins, **fields)
    frame, _ = fuse([*ten(), own], {}, params(text="both"))
    assert frame.iloc[-1]["text_from"] == text_from


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a " * 500_000, "a a a a a a a a a a a a"),
        ("😀 👩‍👩‍👧 🎬", "😀 👩‍👩‍👧 🎬"),
        ("סרט על ים وفيلم \u202eabc", "סרט על ים وفيلم abc"),
        ("<b>bold</b> & <script>alert(1)</script>  plot", "<b>bold</b> & <script>alert(1)</script> plot"),
        ("=CSV() runs away", "=CSV() runs away"),
        ("one\x00two\x1b\tthree\x85four", "one two three four"),
        ("cafe\u0301 by\u00a0the\u2028sea", "café by the sea"),
    ],
    ids=["a million characters", "emoji", "right to left", "HTML", "formula", "control characters", "Unicode"],
)
def test_an_odd_text_is_kept(tmp_path: Path, text: str, kept: str) -> None:
    frame, dropped = fuse([*ten(), film("x", text)], {}, params())
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
    frame, dropped = fuse([*ten(), film("x", text)], {}, params())
    assert list(frame["id"]) == [own.id for own in ten()]
    assert dropped == {"no_text": 0, "short_text": 0, "no_tags": 0} | {reason: 1}


@pytest.mark.parametrize("tags", [(), ("rare",)])
def test_a_film_without_a_tag_of_the_vocabulary_is_dropped_and_counted(tags: tuple[str, ...]) -> None:
    frame, dropped = fuse([*ten(), film("x", tags=tags)], {}, params())
    assert len(frame) == 10
    assert dropped == {"no_text": 0, "short_text": 0, "no_tags": 1}


def test_fewer_than_ten_films_are_refused() -> None:
    assert len(fuse(ten(), {}, params())[0]) == 10
    with pytest.raises(MotagsError, match=r"9 of 11 films .*at least 10 .*: add films to the catalogue or"):
        fuse([*ten()[1:], film("x", "short"), film("y", tags=("rare",))], {}, params())
    with pytest.raises(MotagsError, match="0 of 0 films"):
        fuse([], {}, params())


def test_advice_where_too_few_films_are_left_fits_the_cause() -> None:
    with pytest.raises(MotagsError, match=r"are needed: set dataset\.min_films to 5, or add films"):
        fuse([*ten()[:5], *(film(f"y{n}", tags=("rare",)) for n in range(5))], {}, params(min_films=7))
    with pytest.raises(MotagsError, match=r"are needed: none with a text has a tag; .* crawl\.columns\.tags"):
        fuse([film(f"y{n}", tags=()) for n in range(12)], {}, params(min_films=7))
    with pytest.raises(MotagsError, match=r"are needed: 8 texts are shorter than dataset\.min_words = 3; lower that"):
        fuse([*ten()[:5], *(film(f"y{n}", "short") for n in range(8))], {}, params())


def test_synonyms_and_genres_are_spelled_as_their_tag() -> None:
    odd = [Tag(name="science fiction film", kind="genre"), Tag(name="Sci-Fi"), Tag(name="SCI FI", kind="keyword")]
    kin = [Tag(name="Family", kind="genre"), Tag(name="Family film", kind="genre"), Tag(name="Family")]
    films = [film(f"{i}", tags=(tag,)) for i, tag in enumerate([*odd, *kin, *[Tag(name="family", kind="keyword")] * 4])]
    frame, _ = fuse(films, {"sci-fi": "science fiction", "sci fi": "Science Fiction"}, params())
    assert frame["tags"].tolist() == [["Science Fiction"]] * 3 + [["Family"]] * 3 + [["family"]] * 4
    assert frame["genres"].tolist() == [["Science Fiction"]] * 3 + [["Family"]] * 3 + [[]] * 4


def test_singular_and_plural_are_one_tag_that_a_film_bears_once() -> None:
    films = [film(f"f{i}", tags=("robots",)) for i in range(3)] + [film(f"g{i}", tags=("robot",)) for i in range(6)]
    films += [
        film("h", tags=("Robot", "ROBOTS", "paris")),
        film("i", None, tags=("robots",)),
        film("j", tags=("paris",)),
    ]
    frame, dropped = fuse(films, {}, params())
    assert frame["tags"].tolist() == [["robot"]] * 9 + [["paris", "robot"], ["paris"]]
    assert dropped == {"no_text": 1, "short_text": 0, "no_tags": 0}


def test_the_more_frequent_number_is_counted_in_films_with_a_text() -> None:
    films = [*ten(), *(film(f"p{i}", tags=("robots",)) for i in range(2)), film("s", tags=("robot",))]
    films += [film(f"x{i}", "short", tags=("robot",)) for i in range(5)]
    frame, _ = fuse(films, {}, params())
    assert frame["tags"].tolist()[10:] == [["robots"]] * 3


def test_a_tag_that_a_source_calls_a_genre_is_one_in_all_films() -> None:
    surf = [film("x", tags=(Tag(name="Surf film", kind="genre"),)), film("y", tags=("surf", "Drama"))]
    lone = [film("z", tags=("Drama", Tag(name="rare", kind="genre")))]
    frame, _ = fuse([*ten(), *surf, *lone], {}, params())
    assert frame["genres"].tolist()[-3:] == [["surf"], ["Drama", "surf"], ["Drama"]]
    assert statistics(frame, {})["genres"] == 2
    assert dict(long_tail(frame)[["tag", "kind"]].to_numpy().tolist()) == {"Drama": "genre", "surf": "genre"}


def test_a_genre_stays_one_when_its_singular_and_plural_are_merged() -> None:
    musicals = [film(f"m{i}", tags=(Tag(name="musicals", kind="genre"),)) for i in range(2)]
    frame, _ = fuse([*ten(), *musicals, *(film(f"n{i}", tags=("musical",)) for i in range(3))], {}, params())
    assert frame["tags"].tolist()[10:] == [["musical"]] * 5
    assert frame["genres"].tolist()[10:] == [["musical"]] * 5


@settings(max_examples=60)
@given(order=st.permutations(["person", "person", "persons", "persons", "persons", *["people"] * 4, *["robot"] * 3]))
def test_the_order_of_films_does_not_choose_a_number(order: list[str]) -> None:
    def counts(order: list[str]) -> dict[str, int]:
        films = [film(f"f{i:02}", tags=(tag,)) for i, tag in enumerate(order)]
        tail = long_tail(fuse(films, {}, params())[0])
        return dict(zip(tail["tag"], tail["films"], strict=True))

    assert counts(order) == counts(sorted(order))


def test_the_vocabulary_is_the_most_frequent_tags_and_ties_go_by_name() -> None:
    films = tagged("ade", "ad", "abe", "ac", *["abc"] * 2, *["d"] * 5)  # a 6, b 3, c 3, d 7, e 2
    assert vocabulary(films) == ["d", "a", "b", "c", "e"]
    assert vocabulary(films, max_tags=3) == ["d", "a", "b"]
    assert vocabulary(films, min_films=3) == ["d", "a", "b", "c"]
    assert vocabulary(films, min_films=4, max_tags=3) == ["d", "a"]


def test_an_excluded_tag_makes_room_for_others_and_keeps_no_film() -> None:
    films = tagged("ade", "ad", "abe", "ac", *["abc"] * 2, *["d"] * 5)  # as above
    assert vocabulary(films, excluded=["a", "z"], max_tags=3) == ["d", "b", "c"]
    _, dropped = fuse([*ten(), film("x", tags=("SEA",)), film("y", tags=("sea",))], {}, params(excluded=["sea"]))
    assert dropped["no_tags"] == 2


def test_a_tag_counts_once_a_film_and_only_in_films_with_a_text() -> None:
    twice = [
        film("x", tags=("sea", "SEA", "storm")),
        film("y", None, tags=("sea", "storm")),
        film("z", tags=("storm",)),
    ]
    frame, _ = fuse([*ten(), *twice], {}, params())
    assert frame["tags"].tolist()[-2:] == [["storm"], ["storm"]]  # one film with a text bears "sea"


@settings(max_examples=50)
@given(films=st.permutations([*tagged(*"abcabcabcabcd"), film("x", None), film("y", "short"), film("z", tags=())]))
def test_rows_in_another_order_give_an_equal_frame(films: list[Film]) -> None:
    frame, dropped = fuse(films, {}, params())
    expected, expected_dropped = fuse(sorted(films, key=lambda own: own.id), {}, params())
    pd.testing.assert_frame_equal(frame, expected)
    assert dropped == expected_dropped == {"no_text": 1, "short_text": 1, "no_tags": 2}


def test_statistics_are_those_counted_by_hand() -> None:
    texts = [f"film {i} here" for i in range(8)] + ["The very same text.", "the VERY same -- text"]
    films = [film(f"f{i}", text, ("Drama", "sea", "storm")[: 1 + (i < 4) + (i < 2)]) for i, text in enumerate(texts)]
    films[0] = film("f0", "ignored for the plot", ("Drama", "sea", "storm"), plot="a plot of all of seven words")
    frame, dropped = fuse(films, {}, params())
    assert statistics(frame, dropped) == {
        "films": 10,
        "tags": 3,
        "tags_per_film": 1.6,  # 10 + 4 + 2
        "words_per_film": 3.7,  # 7 + 7 * 3 + 4 + 5
        "genres": 1,
        "texts": {"plot": {"share": 0.1, "words": 7.0}, "synopsis": {"share": 0.9, "words": 30 / 9}},
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
    tail = long_tail(fuse(films, {}, params())[0])
    assert list(tail.columns) == ["tag", "films", "kind"]
    assert list(tail.itertuples(index=False, name=None)) == expected


def test_a_corpus_holds_the_tags_of_each_film() -> None:
    corpus = Corpus.from_frame(fuse(tagged("b", "ab", *["a"] * 8), {}, params(min_films=2))[0])
    assert corpus.tags == ["a", "b"]
    assert corpus.ids == [f"f{i:02}" for i in range(10)]
    assert corpus.titles[0] == "F00"
    assert corpus.texts == [TEXT] * 10
    np.testing.assert_array_equal(corpus.Y, [[False, True], [True, True], *[[True, False]] * 8])


def test_a_part_has_the_rows_asked_for_and_the_tags_of_all() -> None:
    whole = Corpus.from_frame(fuse(tagged("b", "ab", *["a"] * 8), {}, params())[0])
    part = whole.part(np.array([5, 0]))
    assert (part.ids, part.titles, part.tags) == (["f05", "f00"], ["F05", "F00"], ["a", "b"])
    np.testing.assert_array_equal(part.Y, [[True, False], [False, True]])


def test_a_tag_may_be_in_all_films() -> None:
    frame, dropped = fuse(ten(), {}, params())
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


@settings(max_examples=200)
@given(text=st.text())
def test_words_hold_no_space_and_no_control_character_and_lose_no_letter(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words
    composed = unicodedata.normalize("NFC", text)
    assert "".join(words) == "".join(c for c in composed if not c.isspace() and unicodedata.category(c) != "Cc")
