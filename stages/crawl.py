"""Gather films from the catalogue or from the sites; set aside what can't be used."""

from pathlib import Path

import environment  # noqa: F401

from motags.artifacts import sealing, write_json
from motags.sources.gather import gather
from motags.sources.params import CrawlParams
from motags.stage import run


def crawl(raw_out: Path, films_out: Path, metrics_out: Path, *, crawl: CrawlParams, threads: int) -> None:
    with sealing(films_out) as folder:
        folder.mkdir()
        metrics = gather(raw_out, folder, crawl, threads)
    write_json(metrics_out, metrics)


if __name__ == "__main__":
    run(crawl)
