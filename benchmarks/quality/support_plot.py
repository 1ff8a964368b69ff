"""F1 of each tag against its support, for motags and its peers, as a picture: from what peers.py has kept.

    python benchmarks/quality/support_plot.py ../shared/real/motags.jsonl.gz docs/f1-by-support.png --out results/peers
        --methods motags,average,tfidf --seeds 42,43,44

A point is a tag, the mean over the seeds; a line the mean of the tags about it (a window of 15 on each side).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import vl_convert

from motags.artifacts import replacing
from motags.evaluation.metrics import decide, f1_per_tag
from peers import ROOT, Bench

WINDOW = 31  # tags of a moving mean


def f1_by_tag(bench: Bench, name: str, seeds: list[int]) -> pd.DataFrame:
    """Support among the films that a method may learn from, and F1 on the test films, of each tag: means over seeds."""
    f1, support = [], []
    for seed in seeds:
        result, evaluator = bench.answered(name, seed), bench.evaluator(seed)
        if result is None:
            raise SystemExit(f"{name}, seed {seed}, was not asked yet: run peers.py --methods {name} --seeds {seed}")
        _, own = bench.answers(result, evaluator.Y_validation)
        assert own.thresholds is not None  # noqa: S101, `answers` gives every method some
        f1.append(f1_per_tag(evaluator.Y_test, decide(own.test, own.thresholds)))
        rows = bench.rows(seed)
        support.append(bench.corpus.Y[np.concatenate([rows["train"], rows["validation"]])].sum(0))
    table = pd.DataFrame({"tag": bench.corpus.tags, "support": np.mean(support, 0), "f1": np.mean(f1, 0)})
    table = table.sort_values("support", kind="stable").assign(method=name)
    return table.assign(trend=table["f1"].rolling(WINDOW, center=True, min_periods=WINDOW // 2).mean())


def chart(table: pd.DataFrame, methods: list[str]) -> dict[str, object]:
    """A Vega-Lite chart: the methods in one frame, points and trends in their colours."""
    values = json.loads(table.to_json(orient="records"))
    colour = {"field": "method", "type": "nominal", "title": None, "sort": methods, "legend": {"orient": "top"}}
    x = {
        "field": "support", "type": "quantitative", "title": "training films that bear the tag (log)",
        "scale": {"type": "log", "nice": False}, "axis": {"grid": False},
    }  # fmt: skip
    y = {"type": "quantitative", "scale": {"domain": [0, 1]}, "title": "F1 on the test films"}
    points = {"mark": {"type": "point", "filled": True, "opacity": 0.45, "size": 30}}
    lines = {"mark": {"type": "line", "strokeWidth": 3}}
    return {
        "$schema": json.loads((ROOT / ".dvc/plots/tags.json").read_text())["$schema"],
        "data": {"values": values}, "width": 620, "height": 380, "background": "white",
        "layer": [
            layer | {"encoding": {"x": x, "y": y | {"field": field}, "color": colour}}
            for layer, field in ((points, "f1"), (lines, "trend"))
        ],
    }  # fmt: skip


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("picture", type=Path, help="PNG file")
    parser.add_argument("--out", type=Path, required=True, help="where peers.py keeps its answers")
    parser.add_argument("--methods", default="motags,average,tfidf")
    parser.add_argument("--seeds", default="42,43,44,45,46")
    arguments = parser.parse_args()
    bench = Bench.of_films(arguments.catalogue, arguments.out)
    methods, seeds = arguments.methods.split(","), [int(seed) for seed in arguments.seeds.split(",")]
    table = pd.concat([f1_by_tag(bench, name, seeds) for name in methods], ignore_index=True)
    with replacing(arguments.picture) as temporary:
        temporary.write_bytes(vl_convert.vegalite_to_png(chart(table, methods), scale=1.5))


if __name__ == "__main__":
    main()
