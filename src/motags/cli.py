"""The command line: `motags …`."""

import json
from datetime import timedelta
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
    "ours": "ours (the paper)",
    "motags": "motags",
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
    table = Table(
        title="Test films; F1 at threshold 0.5, and at thresholds tuned on training films", box=SIMPLE_HEAD, padding=0
    )
    table.add_column("method", no_wrap=True)
    for name in COLUMNS.values():
        table.add_column(name, justify="right", min_width=5)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@app.command()
def expire(
    raw: Annotated[Path, typer.Argument(help="What was crawled.")] = Path("data/raw"),
    days: Annotated[
        int | None,
        typer.Option(help="Drop what is older; if not given, crawl.tmdb.keep_days of params.yaml.", min=0),
    ] = None,
) -> None:
    """Drop what TMDB gave longer ago than its terms allow to keep. Example: motags expire."""
    from motags.errors import MotagsError  # noqa: PLC0415, the imports take half a second
    from motags.sources.params import CrawlParams  # noqa: PLC0415
    from motags.sources.store import opened  # noqa: PLC0415
    from motags.sources.tmdb import TABLES  # noqa: PLC0415
    from motags.stage import PARAMS, read_params  # noqa: PLC0415

    try:
        limit = read_params(PARAMS, {"crawl": CrawlParams})["crawl"].tmdb.keep_days if days is None else days
        if not raw.is_dir():
            raise MotagsError(f"{raw} is missing: nothing was crawled")
        with opened(raw) as store:
            dropped = {name: store[name].drop(timedelta(days=limit)) for name in TABLES}
    except MotagsError as error:
        raise SystemExit(f"motags: {error}") from None
    typer.echo(f"dropped what was older than {limit} days: {dropped['tmdb']} films, {dropped['tmdb-lists']} lists")
    if any(dropped.values()):
        typer.echo(
            "Next: `dvc repro` (fetches anew what the crawl still wants, and makes all that follows without the rest), "
            "then `dvc gc --workspace` (takes older copies out of DVC's cache)"
        )
