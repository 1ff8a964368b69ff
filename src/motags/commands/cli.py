"""The command line: `motags …`. What a command needs is imported when it runs, so that each starts at once."""

import errno
import sqlite3
import sys
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from motags.commands.audit import audit
from motags.commands.check import check
from motags.commands.expire import expire
from motags.commands.explain import explain
from motags.commands.results import results
from motags.commands.review import review, review_export, review_import
from motags.commands.suggest import suggest
from motags.commands.tag import tag
from motags.errors import MotagsError

EXTRAS = {  # packages that the base installation lacks, and the extra that brings them
    "pyarrow": "parquet",
    "ray": "ray",
    **dict.fromkeys(["fastapi", "jinja2", "uvicorn"], "review"),
    **dict.fromkeys(["pandas", "pydantic", "requests", "rich", "ruamel", "scipy", "sklearn"], "train"),
    **dict.fromkeys(["sentence_transformers", "torch", "transformers"], "train"),
}
RENAMED = {  # options of before, and what they are called now
    ("tag", "--form"): "--backend",
    ("review-export", "--form"): "--format",
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
            _leave(_usage(ctx.invoked_subcommand, error), 2)


def _usage(command: str | None, error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption) and (new := RENAMED.get((command or "", error.option_name))):
        return f"{error.option_name} of `motags {command}` is called {new} now"
    path = error.ctx.command_path if error.ctx else "motags"
    return f"{error.format_message().rstrip('.')} (see `{path} --help`)"


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


for command in (check, tag, explain, suggest, audit, review, review_export, review_import, results, expire):
    app.add_command(command)


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
