"""The command line: `motags …`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

COLUMNS = {
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "micro_f1_tuned": "micro F1 tuned",
    "macro_f1_tuned": "macro F1 tuned",
    "macro_f1_tail_tuned": "tail F1 tuned",
    "p_at_1": "P@1",
    "p_at_3": "P@3",
    "p_at_5": "P@5",
    "ndcg_at_5": "nDCG @5",
    "psp_at_5": "PSP @5",
}
METHODS = {
    "constant": "constant answer",
    "tfidf": "TF-IDF + regression",
    "bert": "BERT",
    "bert_star": "BERT*",
    "bert_star_cb": "BERT* + CB loss",
    "bert_star_clusters": "BERT* + clusters",
    "ours": "ours (both)",
}

app = typer.Typer(no_args_is_help=True, help="Rich tags for film catalogues.")


@app.callback()
def main() -> None:
    """Rich tags for film catalogues."""


@app.command()
def results(
    metrics: Annotated[Path, typer.Argument(help="The metrics of an experiment.")] = Path("metrics/metrics.json"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Print the results table of an experiment. Example: motags results metrics/metrics.json."""
    try:
        scores = json.loads(metrics.read_text(encoding="utf-8"))
        rows = [[METHODS[name], *(f"{scores[name][key]:.3f}" for key in COLUMNS)] for name in METHODS]
    except FileNotFoundError:
        raise SystemExit(f"motags: {metrics} is missing: `dvc repro` makes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(
            f"motags: {metrics} holds no metrics of an experiment ({error}): `dvc repro` makes it"
        ) from None
    header = ["method", *COLUMNS.values()]
    if markdown:
        lines = [header, ["---"] + ["--:"] * len(COLUMNS), *rows]
        typer.echo("\n".join("| " + " | ".join(line) + " |" for line in lines))
        return
    table = Table(title="Test films; F1 at threshold 0.5, and tuned on validation films", box=SIMPLE_HEAD, padding=0)
    table.add_column("method", no_wrap=True)
    for name in COLUMNS.values():
        table.add_column(name, justify="right", min_width=5)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
