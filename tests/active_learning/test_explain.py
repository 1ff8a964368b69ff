"""Why a tag: the word that carries it stands out, films that bear it are named, nothing else is said."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from builders import TOPIC_TAGS, embedder_params, fitted_tagger, topic_films
from motags import Tagger
from motags.active_learning.explain import SPANS, cluster_tags, explain
from motags.errors import MotagsError
from motags.films.text import Entry
from motags.paper.embedder import pretrained


@pytest.fixture(scope="module")
def learned(tiny_encoder: Path) -> Tagger:
    encoder: SentenceTransformer = pretrained(embedder_params(tiny_encoder))
    texts, _, labels = topic_films(120)
    return fitted_tagger(encoder, texts, labels, TOPIC_TAGS)


def test_the_word_that_gives_a_tag_away_carries_it(learned: Tagger) -> None:
    text = "Somebody comes to the town and meets a cowboy there in winter"
    why = explain(learned, text, ["cowboy"])[0]
    assert max(why.words, key=lambda word: word[2])[:2] == (text.index("cowboy"), text.index("cowboy") + 6)
    assert why.score == pytest.approx(learned.predict_proba([text])[0, TOPIC_TAGS.index("cowboy")], abs=1e-5)
    assert why.threshold == learned.thresholds_[TOPIC_TAGS.index("cowboy")]


def test_the_films_named_bear_the_tag_and_the_nearest_comes_first(learned: Tagger) -> None:
    text, known = "a cowboy and the town", learned.films_
    why = explain(learned, text, ["cowboy"], neighbours=7)[0]
    rows = [known.ids.index(film) for film, _, _ in why.films]
    assert len(rows) == 7
    assert known.Y[rows, TOPIC_TAGS.index("cowboy")].all()
    cosines = known.embeddings @ learned.score([text]).embeddings[0]
    bearers = cosines[known.Y[:, TOPIC_TAGS.index("cowboy")]]
    np.testing.assert_allclose([near for _, _, near in why.films], np.sort(bearers)[::-1][:7], atol=1e-5)


def test_a_training_film_is_not_like_itself(learned: Tagger) -> None:
    row, j = 5, int(learned.films_.Y[5].argmax())
    text = topic_films(120)[0][row]
    ten = explain(learned, Entry("another", None, text), [TOPIC_TAGS[j]], neighbours=10)[0]
    others = explain(learned, Entry(str(row), None, text), [TOPIC_TAGS[j]], neighbours=9)[0]
    assert str(row) in {id_ for id_, _, _ in ten.films}
    assert others.films == [film for film in ten.films if film[0] != str(row)]


def test_a_cluster_is_told_by_the_tags_that_are_oftener_in_it(learned: Tagger) -> None:
    own = learned.clusters(learned.films_.embeddings)
    for cluster in np.unique(own):
        typical = cluster_tags(learned, int(cluster))
        share = learned.films_.Y[own == cluster].mean(0) - learned.films_.Y.mean(0)
        assert typical[0] == TOPIC_TAGS[share.argmax()]
    assert explain(learned, "a cowboy", ["cowboy"])[0].cluster == learned.score(["a cowboy"]).clusters[0]


def test_a_tag_that_the_model_does_not_know_is_refused_by_name(learned: Tagger) -> None:
    with pytest.raises(MotagsError, match="'western' is not one of the model's 5 tags"):
        explain(learned, "a cowboy", ["western"])[0]


@settings(max_examples=25)
@given(text=st.text(max_size=300))
def test_parts_are_words_of_the_text_in_order_and_bounded(learned: Tagger, text: str) -> None:
    words = explain(learned, text, ["cowboy"])[0].words
    assert len(words) <= SPANS
    assert all(0 <= start < end <= len(text) for start, end, _ in words)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(words))


def test_a_long_text_is_told_in_runs_of_words_that_cover_it(learned: Tagger) -> None:
    text = "word " * 999 + "last"
    words = explain(learned, text, ["cowboy"])[0].words
    assert len(words) == SPANS
    assert (words[0][0], words[-1][1]) == (0, len(text))
