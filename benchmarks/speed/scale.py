"""Time and memory of training and tagging against how many films and tags there are, on films made up for it.

    python benchmarks/speed/scale.py --out results/scale

Each point, n films by t tags, runs in a process of its own, so that its peak memory is its own. It trains the whole
tagger (`Tagger.fit`, with the numbers of params.yaml) and tags films that it has not seen. Only the encoder is not
the shipped one, which on two cores would take hours: it is a BERT of 4 layers with random weights (`--width`), its top
layer trained for one epoch. So all is measured but the transformer itself, whose time grows with the films alone.

A made-up film has some 3 of the tags, whose frequencies fall by Zipf's law, and some 30 words: each is one of the
words of one of its tags, or drawn from a background that falls by Zipf's law too. A tag is named after its words.

Keeps a row a point in points.json, so that a run that was stopped goes on, and draws scale.png from all of them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vl_convert
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel, BertTokenizerFast  # type: ignore[attr-defined]  # it is made when asked for

from motags.artifacts import replacing
from motags.machine import peak_memory_mb
from motags.paper.embedder import EmbedderParams
from motags.params import PARAMS, read_params
from motags.tagger.tagger import Tagger
from motags.tagger.training import TaggerParams

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {"embedder": EmbedderParams, "tagger": TaggerParams}
POINTS = (
    "5000x100,20000x100,100000x100,5000x500,20000x500,100000x500,5000x1000,20000x1000,100000x1000,"
    "5000x5000,20000x5000,50000x5000,100000x5000"
)
NEW = 1_000  # films tagged
BACKGROUND = 20_000  # words that say nothing
OWN = 6  # words of a tag; the first two are its name
SPOKEN = 0.4  # share of a film's words that speak of its tags
LAYERS, HEAD = 4, 32  # of the encoder, and dimensions a head


@dataclass(frozen=True)
class MadeUp:
    """Films made up from a seed.

    Attributes:
        texts: n; Y: (n, t) bool; tags: t names.
    """

    texts: list[str]
    Y: np.ndarray
    tags: list[str]


def made_up(n: int, t: int, seed: int) -> MadeUp:
    """Make n films and t tags up."""
    rng = np.random.default_rng(seed)
    words = np.array(invented(BACKGROUND + OWN * t, rng))
    own = words[BACKGROUND:].reshape(t, OWN)
    likely = _zipf(t)
    Y = np.zeros((n, t), dtype=bool)
    texts = []
    common, of_tag = np.cumsum(_zipf(BACKGROUND)), np.cumsum(likely)
    for row in range(n):
        tags = np.searchsorted(of_tag, rng.random(1 + rng.poisson(2)))
        Y[row, tags] = True
        length = rng.integers(20, 41)
        said = words[np.searchsorted(common, rng.random(length))]
        speaks = rng.random(length) < SPOKEN
        said[speaks] = own[rng.choice(tags, speaks.sum()), rng.integers(0, OWN, speaks.sum())]
        texts.append(" ".join(said))
    return MadeUp(texts, Y, [" ".join(names) for names in own[:, :2]])


def _zipf(size: int) -> np.ndarray:
    """Probabilities that fall as 1 / (rank + 10)."""
    weight = 1 / (np.arange(size) + 11.0)
    return weight / weight.sum() * (1 - 1e-9)


def invented(count: int, rng: np.random.Generator) -> list[str]:
    """Different words of two to four syllables."""
    consonants, vowels = "bcdfghjklmnprstvz", "aeiou"
    syllables = np.array([one + other for one in consonants for other in vowels])
    found: dict[str, None] = {}
    while len(found) < count:
        drawn = rng.choice(syllables, (count, 4))
        found |= dict.fromkeys("".join(row[: 2 + i % 3]) for i, row in enumerate(drawn))
    return list(found)[:count]


def small_encoder(folder: Path, texts: list[str], width: int) -> Path:
    """A BERT with random weights and a tokenizer of its own, as a folder."""
    folder.mkdir()
    pieces = BertWordPieceTokenizer()
    pieces.train_from_iterator(texts, vocab_size=8_000, show_progress=False)
    pieces.save(str(folder / "pieces.json"))
    BertTokenizerFast(tokenizer_file=str(folder / "pieces.json")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=pieces.get_vocab_size(), hidden_size=width, num_hidden_layers=LAYERS,
        num_attention_heads=max(width // HEAD, 1), intermediate_size=2 * width,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def measured(n: int, t: int, width: int, seed: int) -> dict[str, float]:
    """Seconds and peak memory of training on n films by t tags and of tagging new ones, and how often it is right."""
    films = made_up(n + NEW, t, seed)
    params = read_params(ROOT / PARAMS, SECTIONS)
    encoder = params["tagger"].encoder.model_copy(update={"trained_layers": 1, "epochs": 1, "min_steps": 1})
    with tempfile.TemporaryDirectory() as folder:
        model = str(small_encoder(Path(folder) / "encoder", films.texts[:5_000], width))
        params["embedder"] = params["embedder"].model_copy(update={"model": model})
        params["tagger"] = params["tagger"].model_copy(update={"encoder": encoder})
        before, started = peak_memory_mb(), time.perf_counter()
        tagger = Tagger(**params, random_state=seed).fit(films.texts[:n], films.Y[:n], tags=films.tags)
        trained = time.perf_counter()
        scores = tagger.predict_proba(films.texts[n:])
        done = time.perf_counter()
    best = films.Y[n:][np.arange(NEW), scores.argmax(1)].mean()
    return {
        "films": n, "tags": t, "width": width, "seed": seed, "minutes": (trained - started) / 60,
        "films_a_second": NEW / (done - trained), "peak_gb": peak_memory_mb() / 2**10,
        "peak_before_gb": before / 2**10, "p_at_1": float(best),
    }  # fmt: skip


def plot(points: list[dict[str, float]]) -> bytes:
    """A PNG: minutes of training, peak memory and films tagged a second against films, a line a number of tags."""
    shown = {
        "minutes": "training, minutes", "peak_gb": "peak memory, GB", "films_a_second": "films tagged a second",
    }  # fmt: skip
    charts = [_chart(field, title, log=field != "films_a_second") for field, title in shown.items()]
    chart = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json", "background": "white",
        "data": {"values": points}, "hconcat": charts,
    }  # fmt: skip
    return vl_convert.vegalite_to_png(json.dumps(chart), scale=2)


def _chart(field: str, title: str, *, log: bool) -> dict[str, Any]:
    apart = {"type": "log", "nice": False, "padding": 20}  # points stand clear of the frame
    scale = apart if log else {"zero": True}
    axis = {"format": "~s", "tickCount": 5}
    x = {"field": "films", "type": "quantitative", "scale": apart, "axis": axis, "title": "films"}
    y = {"field": field, "type": "quantitative", "scale": scale, "title": title}
    color = {"field": "tags", "type": "ordinal", "title": "tags", "scale": {"scheme": "dark2"}}
    return {
        "width": 260,
        "height": 220,
        "mark": {"type": "line", "point": True},
        "encoding": {"x": x, "y": y, "color": color},
    }


def table(points: list[dict[str, float]]) -> str:
    """The points as Markdown."""
    head = "| films | tags | training, min | peak memory, GB | films tagged a second | P@1 |\n" + "| --: " * 6 + "|"
    rows = [
        f"| {p['films']:,} | {p['tags']:,} | {p['minutes']:.1f} | {p['peak_gb']:.1f} | {p['films_a_second']:.0f} "
        f"| {p['p_at_1']:.2f} |"
        for p in points
    ]
    return "\n".join([head, *rows])


def main() -> None:
    """Measure the points that are not there yet, then print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--points", default=POINTS, help="films x tags, comma-separated")
    parser.add_argument("--width", type=int, default=64, help="dimensions of the encoder; the shipped one has 384")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        n, t = map(int, arguments.point.split("x"))
        print(json.dumps(measured(n, t, arguments.width, arguments.seed)))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = arguments.out / "points.json"
    points: list[dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else []
    for point in filter(None, arguments.points.split(",")):
        n, t = map(int, point.split("x"))
        asked = {"films": n, "tags": t, "width": arguments.width, "seed": arguments.seed}
        if any(asked.items() <= p.items() for p in points):
            continue
        options = ["--out", str(arguments.out), "--width", str(arguments.width), "--seed", str(arguments.seed)]
        command = [sys.executable, __file__, "--point", point, *options]
        points.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1]))
        points.sort(key=lambda p: (p["width"], p["tags"], p["films"]))
        with replacing(kept) as temporary:
            temporary.write_text(json.dumps(points, indent=1) + "\n")
    shown = [p for p in points if (p["width"], p.get("seed")) == (arguments.width, arguments.seed)]
    print(table(shown))
    with replacing(arguments.out / "scale.png") as temporary:
        temporary.write_bytes(plot(shown))


if __name__ == "__main__":
    main()
