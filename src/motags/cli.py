"""The command line: `motags …`. What a command needs is imported when it runs, so that each starts at once."""

import errno
import json
import sqlite3
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

import click

from motags.errors import MotagsError
from motags.model_commands import audit, explain, suggest
from motags.review_commands import review, review_export, review_import
from motags.tag_command import tag

EXTRAS = {  # packages that the base installation lacks, and the extra that brings them
    "pyarrow": "parquet",
    "ray": "ray",
    **dict.fromkeys(["fastapi", "jinja2", "uvicorn"], "review"),
    **dict.fromkeys(["filelock", "pandas", "pydantic", "requests", "rich", "ruamel", "scipy", "sklearn"], "train"),
    **dict.fromkeys(["sentence_transformers", "torch", "transformers"], "train"),
}
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


class Commands(click.Group):
    """Commands whose mistakes are one line each."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; leave with 1 and a sentence for what the user can mend, with 2 for a wrong call."""
        try:
            return super().invoke(ctx)
        except MotagsError as error:
            _leave(str(error))
        except ModuleNotFoundError as error:
            command, package = ctx.invoked_subcommand or "", (error.name or "").split(".")[0]
            if not (extra := _extra(command, package)):
                raise
            _leave(f"{command} needs {package} here: pip install 'motags[{extra}]'")
        except sqlite3.Error as error:
            _leave(f"the file of decisions can't be used: {error}")
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends in silence
            _leave(f"{error.filename or 'the output'}: {error.strerror or error}")
        except KeyboardInterrupt:
            _leave("stopped; the same command goes on or starts again", 130)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "motags"
            _leave(f"{error.format_message().rstrip('.')} (see `{path} --help`)", 2)


def _extra(command: str, package: str) -> str | None:
    extra = EXTRAS.get(package)
    return "review" if extra == "train" and command.startswith("review") else extra  # it brings what it needs of train


def _leave(sentence: str, code: int = 1) -> NoReturn:
    click.echo(f"motags: {sentence}", err=True)
    sys.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="motags", message="motags %(version)s")
def app() -> None:
    """Rich tags for film catalogues.

    Example: motags tag films.jsonl --model models/tagger
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a title that the terminal has no letters for


for command in (tag, explain, suggest, audit, review, review_export, review_import):
    app.add_command(command)


@app.command()
@click.argument("metrics", type=click.Path(path_type=Path), default="metrics/metrics.json")
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
def results(metrics: Path, markdown: bool) -> None:
    """Print the results table of an experiment.

    Example: motags results metrics/metrics.json
    """
    try:
        scores = json.loads(metrics.read_text(encoding="utf-8"))
        rows = [[METHODS[name], *(f"{scores[name][key]:.3f}" for key in COLUMNS)] for name in METHODS]
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


@app.command()
@click.argument("raw", type=click.Path(path_type=Path), default="data/raw")
@click.option("--days", type=click.IntRange(0, 36_500), help="Drop what is older.  [default: crawl.tmdb.keep_days]")
def expire(raw: Path, days: int | None) -> None:
    """Drop what TMDB gave longer ago than its terms allow to keep.

    Example: motags expire
    """
    from motags.sources import tmdb  # noqa: PLC0415
    from motags.sources.params import CrawlParams  # noqa: PLC0415
    from motags.sources.store import opened  # noqa: PLC0415
    from motags.stage import PARAMS, read_params  # noqa: PLC0415

    limit = read_params(PARAMS, {"crawl": CrawlParams})["crawl"].tmdb.keep_days if days is None else days
    if not raw.is_dir():
        raise MotagsError(f"{raw} is missing: nothing was crawled")
    if not any((raw / name).is_dir() for name in tmdb.TABLES):
        click.echo(f"{raw} holds nothing of TMDB")
        return
    with opened(raw) as store:
        dropped = tmdb.expire(store, limit)
    click.echo(f"dropped what was older than {limit} days: {dropped['tmdb']} films, {dropped['tmdb-lists']} lists")
    if any(dropped.values()):
        click.echo(
            "Next: `dvc repro` (fetches anew what the crawl still wants, and makes all that follows without the rest), "
            "then `dvc gc --workspace` (takes older copies out of DVC's cache)"
        )


@app.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands and options.

    \b
    Example: eval "$(motags completion bash)"               # in ~/.bashrc; zsh in ~/.zshrc
             motags completion fish > ~/.config/fish/completions/motags.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    made = get_completion_class(shell)
    assert made  # noqa: S101, click has these three
    click.echo(made(app, {}, "motags", "_MOTAGS_COMPLETE").source())
