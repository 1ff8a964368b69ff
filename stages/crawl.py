"""Read the catalogue of films; set aside the rows that can't be used."""

from pathlib import Path

from motags.artifacts import sealing, write_json
from motags.films import CrawlParams, crawl_summary, read_catalogue, write_films
from motags.stage import run


def crawl(films_out: Path, metrics_out: Path, *, crawl: CrawlParams) -> None:
    films, aside = read_catalogue(Path(crawl.catalogue), crawl.max_set_aside)
    with sealing(films_out) as folder:
        write_films(folder, films, aside)
    write_json(metrics_out, crawl_summary(films, aside))


if __name__ == "__main__":
    run(crawl)
