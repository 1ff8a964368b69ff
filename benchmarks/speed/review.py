"""How fast the page is: first paint and next film in a headless Chromium, with a whole catalogue loaded.

PYTHONPATH=tests python benchmarks/speed/review.py ../shared/real/motags.jsonl.gz models/tagger

Loopback, a cold browser cache for each first paint; once while the suggestions are still being made (another process's
work on the same cores), once after. The review's file is removed at the end.
"""

import argparse
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page

from servers.chromium import browser
from servers.review import Review

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
LIMITS = {"queue, first paint": 300, "film, first paint": 300, "done, next film": 100, "skip, next film": 100}


def painted(page: Page) -> float:
    """Milliseconds from the start of the visit to the first text, once it is there."""
    while (found := page.evaluate(PAINT)) is None:
        time.sleep(0.01)
    return float(found)


def first_paint(chromium: Browser, address: str) -> float:
    """Milliseconds from the start of a first visit to the first text."""
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(address)
        return painted(page)


def next_film(page: Page, key: str) -> float:
    """Milliseconds from a key to the first text of the next film."""
    before = page.url
    page.evaluate("addEventListener('keydown', () => sessionStorage.setItem('pressed', Date.now()), true)")
    page.keyboard.press(key)
    page.wait_for_url(lambda url: url != before)
    return painted(page) + float(page.evaluate("performance.timeOrigin - Number(sessionStorage.getItem('pressed'))"))


def measure(chromium: Browser, review: Review, rounds: int) -> dict[str, list[float]]:
    """Times of all that a reviewer waits for."""
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(review.address)
        page.keyboard.press("n")
        page.wait_for_selector("#tags")
        page.wait_for_load_state()
        film = page.url
        times = {"queue, first paint": [first_paint(chromium, review.address) for _ in range(rounds)]}
        times["film, first paint"] = [first_paint(chromium, film) for _ in range(rounds)]
        times["done, next film"] = [next_film(page, "n") for _ in range(rounds)]
        times["skip, next film"] = [next_film(page, "s") for _ in range(rounds)]
        times["why"] = [why(page) for _ in range(max(1, rounds // 4))]
    return times


def why(page: Page) -> float:
    """Milliseconds from a key to the reasons."""
    page.keyboard.press("s")
    page.wait_for_timeout(300)
    began = time.perf_counter()
    page.keyboard.press("w")
    page.wait_for_selector(".why:not([hidden]) .near, .why:not([hidden]) p + p")
    return 1000 * (time.perf_counter() - began)


def scored(decisions: Path) -> int:
    """How many films have suggestions."""
    with sqlite3.connect(decisions) as connection:
        return int(connection.execute("SELECT count(*) FROM scored").fetchone()[0])


def wait_for_all(decisions: Path) -> float:
    """Seconds until no more films get suggestions."""
    began, last = time.perf_counter(), -1
    while (now := scored(decisions)) != last:
        last = now
        time.sleep(5)
    return time.perf_counter() - began


def report(when: str, times: dict[str, list[float]]) -> None:
    """Print a table: median and worst, in milliseconds, beside the limit."""
    for what, measured in times.items():
        limit = f"{LIMITS[what]}" if what in LIMITS else ""
        print(f"| {when} | {what} | {statistics.median(measured):.0f} | {max(measured):.0f} | {limit} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--wait", action="store_true", help="measure again when all suggestions are made")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        began = time.perf_counter()
        with Review(given.catalogue, given.model, Path(folder) / "review.sqlite") as review:
            print(f"answers after {time.perf_counter() - began:.1f} s")
            print("| when | what | median, ms | worst, ms | limit, ms |\n| --- | --- | --: | --: | --: |")
            report("suggestions being made", measure(chromium, review, given.rounds))
            if given.wait:
                wait_for_all(review.decisions)
                report("suggestions made", measure(chromium, review, given.rounds))
            print(f"{scored(review.decisions)} films scored, peak of the server's memory {review.memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
