"""How fast 100,000 films are read, against an earlier commit: `python benchmarks/speed/reading.py [COMMIT]`.

Both read the same made-up files, one after the other, in pairs: each reading is its own process, and what counts is
the median of the pairs' ratios (above 1: faster than before). At least 0.8 is asked for.
"""

import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FILMS = 100_000
PAIRS = 3
LEAST = 0.8
BEFORE = "1ea499a"
ROOT = Path(__file__).parents[2]
READ = """
import sys, time
from pathlib import Path
from motags.films.catalogue import read_catalogue
begun = time.perf_counter()
films, aside = read_catalogue(Path(sys.argv[1]), 0.0)
print(time.perf_counter() - begun, len(films), len(aside))
"""


def write_catalogues(folder: Path) -> list[Path]:
    """The same films as JSON Lines and as CSV; every tenth text has letters beyond ASCII."""
    rng = random.Random(0)  # noqa: S311, no secret
    words = [f"{start}{end}" for start in ("ba", "ce", "dri", "fo", "gu", "lé") for end in ("n", "st", "rling", "mmer")]
    tags = ["Drama", "Comedy", "War", "heist", "small town", "friendship"]
    names = [folder / "films.jsonl", folder / "films.csv"]
    with names[0].open("w", encoding="utf-8") as lines, names[1].open("w", encoding="utf-8", newline="") as cells:
        table = csv.writer(cells)
        table.writerow(["id", "title", "year", "plot", "tags"])
        for number in range(FILMS):
            plain = words if number % 10 == 0 else words[:20]
            plot, own = " ".join(rng.choices(plain, k=120)), rng.sample(tags, 3)
            film = {"id": f"f{number}", "title": f"Film {number}", "year": 1960 + number % 60, "plot": plot}
            lines.write(json.dumps(film | {"tags": own}, ensure_ascii=False) + "\n")
            table.writerow([*film.values(), "|".join(own)])
    return names


def seconds(source: Path, catalogue: Path) -> float:
    """Seconds that the code of a source folder takes to read a catalogue."""
    command = [sys.executable, "-c", READ, str(catalogue)]
    env = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    taken, films, aside = done.stdout.split()
    assert (int(films), int(aside)) == (FILMS, 0)  # noqa: S101
    return float(taken)


def main(commit: str) -> None:
    """Measure, print a row a form, and leave with 1 where it is too slow."""
    ratios = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", name], input=archive, check=True)
        for catalogue in write_catalogues(folder):
            pairs = [(seconds(folder / "src", catalogue), seconds(ROOT / "src", catalogue)) for _ in range(PAIRS)]
            ratios[catalogue.suffix] = statistics.median(before / now for before, now in pairs)
            before, now = (statistics.median(own) for own in zip(*pairs, strict=True))
            print(f"{catalogue.suffix}: {commit} {before:.1f} s, now {now:.1f} s, speed {ratios[catalogue.suffix]:.2f}")
    if min(ratios.values()) < LEAST:
        sys.exit(f"less than {LEAST} of the speed of {commit}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else BEFORE)
