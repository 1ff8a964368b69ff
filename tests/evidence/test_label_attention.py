"""The tag encoder: its top layers stand for the whole, a tag starts at its words, and tuning learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import nn
from transformers import (
    AutoTokenizer,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    PretrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
)

from builders import (
    TOPIC_TAGS,
    embedder_params,
    encoder_training_params,
    same_weights,
    sample_films,
    tag_head,
    topic_films,
    tuned_on,
    weights_of,
)
from motags.errors import MotagsError
from motags.evaluation.metrics import macro_auc
from motags.evidence.encoder_training import States, logits_of, lower_states, of_like_length, tune
from motags.evidence.label_attention import (
    TagAttention,
    TagEncoder,
    tag_vectors,
    tokenized,
    top_layers,
    transformer_of,
    whole,
)
from motags.paper.embedder import pretrained

TEXTS = [str(film["synopsis"]) for film in sample_films(8)] + ["short", "", "two words", "\U0001f3ac"]
SMALL = {"vocab_size": 800, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
SMALL |= {"num_attention_heads": 2, "max_position_embeddings": 128}
KINDS: dict[str, tuple[type[PreTrainedModel], PretrainedConfig]] = {
    "roberta": (RobertaModel, RobertaConfig(**SMALL, pad_token_id=0)),
    "mpnet": (MPNetModel, MPNetConfig(**SMALL, pad_token_id=0)),  # positions are weighed outside of the layers
    "modernbert": (ModernBertModel, ModernBertConfig(**SMALL, pad_token_id=0)),
    "electra": (ElectraModel, ElectraConfig(**SMALL, embedding_size=16)),  # embeddings are narrower than states
    "distilbert": (DistilBertModel, DistilBertConfig(vocab_size=800, dim=32, hidden_dim=64, n_layers=4, n_heads=2)),
}

REFUSED = {ElectraModel, DistilBertModel}


def one_by_one(encoder: SentenceTransformer, model: TagEncoder, texts: list[str]) -> np.ndarray:
    """The logits of the whole encoder, each text without company."""
    with torch.inference_mode():
        rows = [
            model(**encoder.tokenizer(text, return_tensors="pt", truncation=True, max_length=64))[0] for text in texts
        ]
    return torch.cat(rows).numpy()


@pytest.mark.parametrize("trained_layers", [1, 2, 4])
def test_the_top_layers_on_the_states_below_them_give_the_logits_of_the_whole(
    tiny_encoder: Path, trained_layers: int
) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(30)
    tuned = tuned_on(encoder, texts, Y, encoder_training_params(trained_layers=trained_layers))
    states = lower_states(encoder, TEXTS, embedder_params(tiny_encoder), trained_layers)
    expected = one_by_one(encoder, whole(encoder, tuned), TEXTS)
    np.testing.assert_allclose(logits_of(tuned, states, embedder_params(tiny_encoder)), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.1  # the texts are told apart


@pytest.mark.parametrize(("kind", "config"), KINDS.values(), ids=KINDS)
def test_an_encoder_of_another_kind_gives_the_logits_of_the_whole_or_is_refused(
    tiny_encoder: Path, tmp_path: Path, kind: type[PreTrainedModel], config: PretrainedConfig
) -> None:
    torch.manual_seed(0)
    kind(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(tmp_path)
    encoder, (texts, _, Y) = pretrained(embedder_params(tmp_path)), topic_films(20)
    if kind in REFUSED:
        with pytest.raises(MotagsError, match="tagger needs one that is built like BERT"):
            tuned_on(encoder, texts, Y, encoder_training_params(epochs=9))
        return
    tuned = tuned_on(encoder, texts, Y, encoder_training_params(epochs=9))
    tokens = tokenized(encoder.tokenizer, TEXTS, 64)
    with torch.inference_mode():
        rows = [
            whole(encoder, tuned)(torch.ones(1, len(ids)).long(), input_ids=torch.tensor([ids]))[0] for ids in tokens
        ]
    found = logits_of(tuned, lower_states(encoder, TEXTS, embedder_params(tmp_path), 2), embedder_params(tmp_path))
    np.testing.assert_allclose(found, torch.cat(rows), atol=1e-5)


def test_padding_batch_size_and_order_change_nothing(tiny_encoder: Path) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(30)
    tuned = tuned_on(encoder, texts, Y, encoder_training_params())

    def logits(texts: list[str], batch_size: int) -> np.ndarray:
        own = embedder_params(tiny_encoder, encode_batch_size=batch_size)
        return logits_of(tuned, lower_states(encoder, texts, own, 2), own)

    np.testing.assert_allclose(logits(TEXTS, 1), logits(TEXTS[::-1], 64)[::-1], atol=1e-5)
    np.testing.assert_allclose(logits(TEXTS[:3], 2), logits(TEXTS, 5)[:3], atol=1e-5)


def test_bfloat16_stays_near_float32(tiny_encoder: Path) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(30)
    tuned = tuned_on(encoder, texts, Y, encoder_training_params())
    kinds = [embedder_params(tiny_encoder, precision=precision) for precision in ("float32", "bfloat16")]
    states = [lower_states(encoder, TEXTS, own, 2) for own in kinds]
    assert [own.values.dtype for own in states] == [torch.float32, torch.bfloat16]
    exact, rough = (logits_of(tuned, given, own) for given, own in zip(states, kinds, strict=True))
    np.testing.assert_allclose(rough, exact, atol=0.3)
    assert np.corrcoef(rough.ravel(), exact.ravel())[0, 1] > 0.99


def test_a_text_is_cut_to_what_the_encoder_reads(tiny_encoder: Path) -> None:
    encoder = pretrained(embedder_params(tiny_encoder))
    long, as_long, empty = tokenized(encoder.tokenizer, ["a ship at sea " * 5000, "a ship at sea " * 50, ""], 64)
    assert long == as_long
    assert (len(long), len(empty)) == (64, 2)


def test_a_part_of_the_states_is_padded_and_knows_what_is_there() -> None:
    values = torch.arange(12, dtype=torch.bfloat16).reshape(6, 2)
    states = States(values, starts=np.array([0, 1, 4]), lengths=np.array([1, 3, 2]))
    part = states.part(np.array([2, 0, 1]))
    assert part.values is values
    padded, there = part.batch(np.array([1, 0]), "cpu")
    assert padded.dtype == torch.float32
    assert padded.tolist() == [[[0, 1], [0, 0]], [[8, 9], [10, 11]]]
    assert there.tolist() == [[1, 0], [1, 1]]
    padded, there = states.batch(np.array([1]), "cpu")
    assert padded.tolist() == [[[2, 3], [4, 5], [6, 7]]]
    assert there.tolist() == [[1, 1, 1]]


def test_batches_of_like_length_hold_each_text_once_the_longest_first() -> None:
    batches = of_like_length(np.array([3, 9, 1, 9, 4]), 2)
    assert [rows.tolist() for rows in batches] == [[1, 3], [4, 0], [2]]
    assert of_like_length(np.array([], dtype=int), 2) == []


def attention(d: int = 2, frequency: float = 0.5) -> TagAttention:
    """As many tags as dimensions, each looks for the token along its own."""
    return TagAttention(np.eye(d), np.full(d, frequency))


def test_the_logits_are_the_ones_computed_by_hand() -> None:
    states = torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])  # the mean points to (3, 1), whatever the tokens' lengths
    weight = np.exp(15) / (np.exp(15) + 1)  # of the tag's own token
    expected = 8 * (np.array([3, 1]) / np.sqrt(10) + 0.5 * weight)
    np.testing.assert_allclose(attention()(states, torch.ones(1, 2)).detach(), [expected], rtol=1e-6)


def test_the_token_that_equals_the_tag_has_nearly_all_of_its_attention() -> None:
    model, tokens = attention(6), torch.eye(6)[None]
    with torch.no_grad():
        model.query.copy_(torch.eye(6)[3].expand(6, 6))  # all look for the fourth token, each tells how much of its own
        logits = model(tokens, torch.ones(1, 6))[0]
    weights_ = (logits / 8 - 1 / np.sqrt(6)) / 0.5
    np.testing.assert_allclose(weights_, np.eye(6)[3], atol=1e-5)


def test_a_token_that_equals_the_tag_raises_its_logit_and_no_other() -> None:
    rng = np.random.default_rng(0)
    text = torch.tensor(rng.normal(size=(1, 6, 8)), dtype=torch.float32)
    text[:, :, :2] = 0  # nothing that speaks for or against the first two tags
    named, there = text.clone(), torch.ones(1, 6)
    named[0, 4] = torch.eye(8)[0]
    with torch.no_grad():
        before, after = attention(8)(text, there)[0], attention(8)(named, there)[0]
    assert after[0] > before[0] + 3
    assert after[1] == pytest.approx(before[1].item(), abs=1e-3)


def test_tokens_that_are_not_there_count_neither_for_the_text_nor_for_a_tag() -> None:
    text = torch.tensor([[[0.3, 0.4], [0.5, 0.1]]])
    padded = torch.cat([text, torch.tensor([[[9.0, 0.0], [0.0, 9.0]]])], dim=1)
    alone, beside = attention()(text, torch.ones(1, 2)), attention()(padded, torch.tensor([[1, 1, 0, 0]]))
    np.testing.assert_allclose(beside.detach(), alone.detach(), rtol=1e-6)


def test_where_a_text_says_nothing_of_a_tag_its_score_is_the_tags_frequency() -> None:
    model = TagAttention(np.eye(3)[:2], np.array([0.1, 0.7]))
    silent = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]]])
    np.testing.assert_allclose(model(silent, torch.ones(1, 2)).sigmoid().detach(), [[0.1, 0.7]], rtol=1e-6)


def reached(encoder: SentenceTransformer, model: TagEncoder) -> float:
    """AUC of the tags that a word gives away, on films that were not trained on."""
    texts, _, Y = topic_films(60, seed=1)
    return macro_auc(
        Y[:, :4],
        logits_of(model, lower_states(encoder, texts, embedder_params("any"), 2), embedder_params("any"))[:, :4],
    )


def test_tuning_learns_what_gives_a_tag_away_and_from_swapped_labels_the_opposite(tiny_encoder: Path) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(60)
    top, states = top_layers(encoder, 2), lower_states(encoder, texts, embedder_params(tiny_encoder), 2)
    own = encoder_training_params(epochs=12, learning_rate=3e-3)

    def unknowing() -> TagAttention:
        vectors = np.random.default_rng(3).normal(size=(5, 32))
        return TagAttention(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.full(5, 0.3))

    before = reached(encoder, TagEncoder(top, unknowing()).eval())
    right, wrong = (
        reached(encoder, tune(top, unknowing(), states, labels, own, embedder_params(tiny_encoder), 0))
        for labels in (Y, ~Y)
    )
    assert 0.2 < before < 0.8
    assert (wrong, right) == pytest.approx((0, 1), abs=0.1)


@pytest.mark.parametrize(("min_steps", "epochs"), [(1, 2), (8, 2), (9, 3), (30, 8)])
def test_few_films_are_passed_over_until_there_are_enough_steps(
    tiny_encoder: Path, min_steps: int, epochs: int
) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(30)  # four batches an epoch
    states = lower_states(encoder, texts, embedder_params(tiny_encoder), 2)
    asked, same = (
        logits_of(tuned_on(encoder, texts, Y, own), states, embedder_params(tiny_encoder))
        for own in (encoder_training_params(min_steps=min_steps), encoder_training_params(epochs=epochs))
    )
    np.testing.assert_array_equal(asked, same)
    assert (
        asked
        != logits_of(
            tuned_on(encoder, texts, Y, encoder_training_params(epochs=9)), states, embedder_params(tiny_encoder)
        )
    ).any()


def test_before_any_tuning_a_tag_finds_the_films_that_name_it(tiny_encoder: Path) -> None:
    encoder, (_, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(60)
    assert reached(encoder, TagEncoder(top_layers(encoder, 2), tag_head(encoder, Y)).eval()) > 0.95


def test_the_loss_that_is_asked_for_is_the_one_that_falls(tiny_encoder: Path) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(30)
    states = lower_states(encoder, texts, embedder_params(tiny_encoder), 2)

    def against_all(logits: torch.Tensor, labels: torch.Tensor, reduction: str) -> torch.Tensor:
        assert (logits.shape, reduction) == (labels.shape, "none")
        return logits.square()

    own = encoder_training_params(epochs=12, learning_rate=3e-3)
    head = TagAttention(tag_vectors(encoder, TOPIC_TAGS, embedder_params(tiny_encoder)), np.full(5, 0.9))
    tuned = tune(top_layers(encoder, 2), head, states, Y, own, embedder_params(tiny_encoder), 0, against_all)
    plain = tuned_on(encoder, texts, Y, own)
    near, far = (np.abs(logits_of(model, states, embedder_params(tiny_encoder))).mean() for model in (tuned, plain))
    assert near < 0.5 < far


def test_a_tag_that_no_film_or_every_film_bears_and_a_single_tag_are_learned(tiny_encoder: Path) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(20)
    Y[:, 1], Y[:, 2] = False, True
    states = lower_states(encoder, texts, embedder_params(tiny_encoder), 2)
    logits = logits_of(tuned_on(encoder, texts, Y, encoder_training_params()), states, embedder_params(tiny_encoder))
    assert np.isfinite(logits).all()
    assert logits[:, 1].max() < logits[:, 2].min()
    single = logits_of(
        tuned_on(encoder, texts, Y[:, :1], encoder_training_params()), states, embedder_params(tiny_encoder)
    )
    assert single.shape == (20, 1)


def test_same_seed_same_weights_other_seed_others(tiny_encoder: Path) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(30)
    first, again, other = (
        tuned_on(encoder, texts, Y, encoder_training_params(), seed).state_dict() for seed in (1, 1, 2)
    )
    assert same_weights(first, again)
    assert not same_weights(first, other)


def test_only_the_trained_layers_of_the_whole_change_and_nothing_that_was_given(tiny_encoder: Path) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(30)
    before, top = weights_of(encoder), top_layers(encoder, 2)
    states = lower_states(encoder, texts, embedder_params(tiny_encoder), 2)
    given, start = states.values.clone(), {name: tensor.clone() for name, tensor in top.state_dict().items()}
    tuned = tune(top, tag_head(encoder, Y), states, Y, encoder_training_params(), embedder_params(tiny_encoder), 0)
    assert same_weights(before, encoder.state_dict())
    assert same_weights(start, top.state_dict())
    assert torch.equal(given, states.values)
    own = transformer_of(encoder).state_dict()
    result = whole(encoder, tuned).transformer.state_dict()
    assert result.keys() == own.keys()
    changed = {name for name in own if not torch.equal(own[name], result[name])}
    assert {name.split(".")[2] for name in changed} == {"2", "3"}
    assert all(name.startswith("encoder.layer.") for name in changed)


def test_even_a_single_step_learns(tiny_encoder: Path) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(8)
    tuned = tuned_on(encoder, texts, Y, encoder_training_params(epochs=1, batch_size=32))
    unchanged = same_weights(tuned.transformer.state_dict(), top_layers(encoder, 2).state_dict())
    assert not unchanged


@pytest.mark.parametrize("trained_layers", [5, 9])
def test_more_layers_than_can_be_trained_are_refused_by_name(tiny_encoder: Path, trained_layers: int) -> None:
    said = rf"tagger\.encoder\.trained_layers = {trained_layers}: the encoder has 4 layers"
    with pytest.raises(MotagsError, match=said):
        top_layers(pretrained(embedder_params(tiny_encoder)), trained_layers)


def test_an_encoder_without_embeddings_of_its_own_is_refused(tiny_encoder: Path) -> None:
    encoder = pretrained(embedder_params(tiny_encoder))
    transformer_of(encoder).tokens = transformer_of(encoder).embeddings
    del transformer_of(encoder).embeddings
    with pytest.raises(MotagsError, match=r"embedder\.model is a BertModel: tagger needs one that is built like BERT"):
        top_layers(encoder, 2)


def test_a_loss_that_is_not_finite_is_one_line(tiny_encoder: Path) -> None:
    encoder, (texts, _, Y) = pretrained(embedder_params(tiny_encoder)), topic_films(20)
    with torch.no_grad():
        next(transformer_of(encoder).encoder.layer[3].parameters()).fill_(torch.nan)
    said = r"loss became nan: lower tagger\.encoder\.learning_rate \(now 0\.001\)"
    with pytest.raises(MotagsError, match=said) as error:
        tuned_on(encoder, texts, Y, encoder_training_params())
    assert "\n" not in str(error.value)


def mean_state(encoder: SentenceTransformer, text: str) -> np.ndarray:
    tokens = encoder.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        return nn.functional.normalize(transformer_of(encoder)(**tokens).last_hidden_state.mean(1))[0].numpy()


def test_vectors_of_tags_have_unit_length_and_nothing_in_common(tiny_encoder: Path) -> None:
    encoder, said = pretrained(embedder_params(tiny_encoder)), [f"{tag}. A film of it." for tag in TOPIC_TAGS]
    vectors = tag_vectors(encoder, said, embedder_params(tiny_encoder, encode_batch_size=2))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    own = np.stack([mean_state(encoder, text) for text in said])
    centred = own - own.mean(0)
    np.testing.assert_allclose(vectors, centred / np.linalg.norm(centred, axis=1, keepdims=True), atol=1e-4)


def test_the_vector_of_a_single_tag_is_its_own_and_tags_alike_are_finite(tiny_encoder: Path) -> None:
    encoder = pretrained(embedder_params(tiny_encoder))
    single = tag_vectors(encoder, ["a wedding"], embedder_params(tiny_encoder))
    np.testing.assert_allclose(single, [mean_state(encoder, "a wedding")], atol=1e-5)
    assert np.isfinite(tag_vectors(encoder, ["alike", "alike"], embedder_params(tiny_encoder))).all()
