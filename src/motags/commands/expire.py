"""`motags expire`, as the command line takes it."""

from pathlib import Path

import click

from motags.errors import MotagsError


@click.command()
@click.argument("raw", type=click.Path(path_type=Path), default="data/raw")
@click.option(
    "--days", type=click.IntRange(0, 36_500), help="Drop records older than this.  [default: crawl.tmdb.keep_days]"
)
def expire(raw: Path, days: int | None) -> None:
    """Drop the records of TMDB that are older than its terms allow.

    Example: motags expire
    """
    from motags.params import PARAMS, read_params  # noqa: PLC0415
    from motags.sources import tmdb  # noqa: PLC0415
    from motags.sources.params import CrawlParams  # noqa: PLC0415
    from motags.sources.store import opened  # noqa: PLC0415

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
