"""`motags results`, as the command line takes it."""

import json
from pathlib import Path

import click

from motags.errors import MotagsError
from motags.evaluation.rows import COLUMNS, ROWS


@click.command()
@click.argument("metrics", type=click.Path(path_type=Path), default="metrics/metrics.json")
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
def results(metrics: Path, markdown: bool) -> None:
    """Print the results table of the last experiment.

    Example: motags results metrics/metrics.json
    """
    try:
        scores = json.loads(metrics.read_text(encoding="utf-8"))
        rows = [[row.label, *(f"{scores[row.key][key]:.3f}" for key in COLUMNS)] for row in ROWS]
    except FileNotFoundError:
        raise MotagsError(f"{metrics} is missing: `dvc repro` makes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise MotagsError(f"{metrics} holds no metrics of an experiment ({error}): `dvc repro` makes it") from None
    header = ["method", *COLUMNS.values()]
    if markdown:
        lines = [header, ["---"] + ["--:"] * len(COLUMNS), *rows]
        click.echo("\n".join("| " + " | ".join(line) + " |" for line in lines))
        return
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    title = "Test films; F1 at threshold 0.5, and at thresholds tuned on validation films (motags: its own)"
    table = Table(title=title, box=SIMPLE_HEAD, padding=0)
    table.add_column("method", no_wrap=True)
    for name in COLUMNS.values():
        table.add_column(name, justify="right", min_width=5)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
