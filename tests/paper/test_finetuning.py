"""Fine-tuning: it learns, goes on after a kill, shares work between processes, and stops at NaN."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from builders import ROOT, SAMPLE_LABELS, SAMPLE_TEXTS, embedder_params, same_weights, weights_of
from motags.artifacts import checked
from motags.errors import MotagsError
from motags.paper.embedder import encode, layers_of, load, pretrained, save
from motags.paper.finetuning import finetune, forget, loss_curve, summary

pytestmark = pytest.mark.slow


def test_films_that_share_tags_come_nearer(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = embedder_params(tiny_encoder, epochs=6, learning_rate=3e-3)
    encoder = pretrained(settings)

    def gap() -> float:
        X = encode(encoder, SAMPLE_TEXTS, settings)
        distances = np.linalg.norm(X[:, None] - X[None], axis=2)
        alike = (SAMPLE_LABELS.astype(int) @ SAMPLE_LABELS.T.astype(int)) > 0
        return float(distances[~alike].mean() / distances[alike & ~np.eye(len(SAMPLE_LABELS), dtype=bool)].mean())

    before = gap()
    steps = finetune(encoder, SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "checkpoint")
    assert gap() > before * 1.1
    triplets = steps.groupby("epoch")["triplets"].sum()
    assert triplets.iloc[-1] < triplets.iloc[0]  # of those that are left the loss may well be higher
    assert (tmp_path / "checkpoint").exists()
    forget(tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


def test_same_seed_same_weights_other_seed_others(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = embedder_params(tiny_encoder, epochs=1, dropout=0.1)
    results = []
    for seed in (1, 1, 2):
        encoder = pretrained(settings)
        finetune(encoder, SAMPLE_TEXTS, SAMPLE_LABELS, settings, seed, tmp_path / f"checkpoint {len(results)}")
        results.append(weights_of(encoder))
    assert same_weights(results[0], results[1])
    assert not same_weights(results[0], results[2])


def test_frozen_layers_and_the_pooling_stay_as_they_are(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = embedder_params(tiny_encoder, epochs=1, frozen_layers=2)
    encoder = pretrained(settings)
    before = weights_of(encoder)
    finetune(encoder, SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "checkpoint")
    changed = {name for name, tensor in encoder.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(".layer.2." in name or ".layer.3." in name for name in changed)
    with pytest.raises(MotagsError, match=r"embedder\.frozen_layers = 4 freezes all 4 layers"):
        finetune(
            encoder,
            SAMPLE_TEXTS,
            SAMPLE_LABELS,
            embedder_params(tiny_encoder, frozen_layers=4),
            0,
            tmp_path / "checkpoint",
        )


def test_the_pooling_of_a_saved_encoder_is_not_trained_either(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = embedder_params(tiny_encoder, epochs=1, frozen_layers=0)
    save(pretrained(settings), tmp_path / "encoder")
    encoder = load(tmp_path / "encoder")
    pooling = {name: tensor.clone() for name, tensor in encoder[1].state_dict().items()}
    assert pooling
    finetune(encoder, SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "checkpoint")
    assert same_weights(pooling, encoder[1].state_dict())


def test_a_damaged_checkpoint_is_not_in_the_way(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = embedder_params(tiny_encoder, epochs=1)
    straight, again = pretrained(settings), pretrained(settings)
    finetune(straight, SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "checkpoint")
    (tmp_path / "checkpoint/progress.json").unlink()
    finetune(again, SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "checkpoint")
    assert same_weights(weights_of(straight), weights_of(again))


def test_no_epochs_leave_the_encoder_as_it_is(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = embedder_params(tiny_encoder, epochs=0)
    encoder = pretrained(settings)
    before = weights_of(encoder)
    steps = finetune(encoder, SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "checkpoint")
    assert same_weights(before, weights_of(encoder))
    assert steps.empty
    assert summary(steps) == {}
    assert list(loss_curve(steps)) == ["epoch", "loss", "anchors"]


def test_films_of_one_tag_have_no_triplet_and_change_nothing(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = embedder_params(tiny_encoder, epochs=1)
    encoder = pretrained(settings)
    before = weights_of(encoder)
    steps = finetune(
        encoder, SAMPLE_TEXTS, np.ones((len(SAMPLE_TEXTS), 1), dtype=bool), settings, 0, tmp_path / "checkpoint"
    )
    assert steps["loss"].eq(0).all()
    assert steps["triplets"].eq(0).all()
    assert same_weights(before, weights_of(encoder))


def test_a_loss_that_is_not_finite_stops_and_the_last_checkpoint_stays(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = embedder_params(tiny_encoder, epochs=1)
    finetune(pretrained(settings), SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "checkpoint")
    encoder = pretrained(settings)
    with torch.no_grad():
        next(layers_of(encoder)[3].parameters()).fill_(torch.nan)
    with pytest.raises(MotagsError, match=r"loss became nan: lower embedder\.learning_rate"):
        finetune(encoder, SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "checkpoint")
    checked(tmp_path / "checkpoint")


def test_a_batch_is_never_a_single_film(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = embedder_params(tiny_encoder, epochs=1, batch_size=8)
    steps = finetune(pretrained(settings), SAMPLE_TEXTS[:33], SAMPLE_LABELS[:33], settings, 0, tmp_path / "checkpoint")
    assert sorted(steps["films"]) == [6, 6, 7, 7, 7]


SCRIPT = """
import json, logging, sys
from pathlib import Path
import numpy as np
import torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
logging.basicConfig(level=logging.INFO)
from builders import SAMPLE_LABELS, SAMPLE_TEXTS, embedder_params
from motags.paper.embedder import pretrained, save
from motags.paper.finetuning import finetune
settings = embedder_params({encoder!r}, epochs={epochs}, dropout=0.1)
encoder = pretrained(settings)
steps = finetune(encoder, SAMPLE_TEXTS[:{films}], SAMPLE_LABELS[:{films}], settings, 0, Path("checkpoint"))
save(encoder, Path("encoder"))
print(json.dumps(steps.to_dict("list")))
"""


def script(folder: Path, encoder: Path, epochs: int, films: int = len(SAMPLE_TEXTS)) -> list[str]:
    folder.mkdir(exist_ok=True)
    text = SCRIPT.format(tests=str(ROOT / "tests"), encoder=str(encoder), epochs=epochs, films=films)
    (folder / "script.py").write_text(text)
    return [sys.executable, "script.py"]


def epochs_kept(checkpoint: Path) -> int:
    try:
        return int(json.loads((checkpoint / "progress.json").read_text())["steps"][-1]["epoch"])
    except (FileNotFoundError, json.JSONDecodeError):  # not there yet, or being replaced
        return 0


def test_a_killed_run_goes_on_from_its_last_epoch_with_the_same_result(
    tiny_encoder: Path, preloaded: Path, tmp_path: Path
) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    script(straight, tiny_encoder, 12)
    command = [preloaded / "python", "script.py"]
    whole = subprocess.run(command, cwd=straight, check=True, capture_output=True, text=True)
    process = subprocess.Popen(script(killed, tiny_encoder, 12), cwd=killed, stderr=subprocess.DEVNULL)
    while process.poll() is None and epochs_kept(killed / "checkpoint") < 3:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "encoder").exists()
    again = subprocess.run(command, cwd=killed, check=True, capture_output=True, text=True)
    found = re.search(r"going on after epoch (\d+)", again.stderr)
    assert found, again.stderr
    assert 3 <= int(found[1]) < 12
    assert json.loads(whole.stdout) == json.loads(again.stdout)
    one, other = ((folder / "encoder/model.safetensors").read_bytes() for folder in (straight, killed))
    assert one == other


@pytest.mark.parametrize(
    ("texts", "labels"),
    [(SAMPLE_TEXTS[::-1], SAMPLE_LABELS), (SAMPLE_TEXTS, SAMPLE_LABELS[::-1].copy())],
    ids=["texts", "tags"],
)
def test_a_checkpoint_of_other_films_is_not_taken_up(
    tiny_encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, texts: list[str], labels: np.ndarray
) -> None:
    settings = embedder_params(tiny_encoder, epochs=2)
    clean, again = pretrained(settings), pretrained(settings)
    finetune(clean, SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "clean")
    finetune(pretrained(settings), texts, labels, settings, 0, tmp_path / "left")
    checked(tmp_path / "left")
    with caplog.at_level(logging.INFO):
        finetune(again, SAMPLE_TEXTS, SAMPLE_LABELS, settings, 0, tmp_path / "left")
    assert "is of another run: starting anew" in caplog.text
    assert same_weights(weights_of(clean), weights_of(again))


def test_torchrun_shares_the_batches_and_one_process_writes(tiny_encoder: Path, tmp_path: Path) -> None:
    command = script(tmp_path / "two", tiny_encoder, 2)[1:]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    both = [*launch, *command]
    done = subprocess.run(both, cwd=tmp_path / "two", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two/encoder/SHA256SUMS").exists()
    steps = [pd.DataFrame(json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    batches = -(-len(SAMPLE_TEXTS) // 8)
    assert [len(own) for own in steps] == [batches // 2 * 2] * 2  # two epochs, half the batches each
    assert not list((tmp_path / "two").glob(".*.tmp"))


def test_fewer_batches_than_processes_are_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    command = script(tmp_path / "two", tiny_encoder, 2, films=8)[1:]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*launch, *command], cwd=tmp_path / "two", capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "1 batches are too few for 2 processes: start fewer" in done.stderr


def test_summary_and_curve_by_hand() -> None:
    steps = pd.DataFrame(
        {
            "epoch": [1, 1, 2, 2],
            "films": [4, 4, 4, 4],
            "loss": [0.4, 0.2, 0.1, 0.1],
            "triplets": [5, 7, 1, 2],
            "anchors": [4, 2, 4, 4],
        }
    )
    epoch_1, epoch_2 = summary(steps).values()
    assert epoch_1 == pytest.approx({"loss": 0.3, "triplets": 12, "anchors_with_a_triplet": 0.75})
    assert epoch_2 == pytest.approx({"loss": 0.1, "triplets": 3, "anchors_with_a_triplet": 1.0})
    curve = loss_curve(steps, points=2)
    assert curve["epoch"].tolist() == [1.0, 2.0]
    assert curve["loss"].tolist() == pytest.approx([0.3, 0.1])
