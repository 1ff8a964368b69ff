"""Time and memory of the whole chain on a catalogue, and of `-S clusterer.k=30` after it.

    python benchmarks/speed/pipeline.py ../shared/real/motags.jsonl.gz

Works in a clone of the last commit in a temporary folder. Prints a row a stage: seconds and peak memory of
the stage itself (from its log), then the wall time of the two commands as a user feels them, DVC included.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def timed(folder: Path, *command: str) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    # the clone's own code, not what is installed
    env = os.environ | {"PYTHONPATH": str(folder / "src")}
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Run the chain, then another k, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--metrics", type=Path, help="copy the chain's metrics/ to this folder")
    arguments = parser.parse_args()
    catalogue = arguments.catalogue.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "motags"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        chain = timed(folder, "dvc", "exp", "run", "-S", f"crawl.catalogue={catalogue}")
        if arguments.metrics:
            shutil.copytree(folder / "metrics", arguments.metrics)
        logs = {file.stem: json.loads(file.read_text()) for file in (folder / "logs").glob("*.json")}
        another_k = timed(folder, "dvc", "exp", "run", "-S", "clusterer.k=30")
    for name, figures in logs.items():
        print(f"{name:12} {figures['seconds']:8.1f} s {figures['peak_memory_mb']:8.0f} MB")
    print(f"{'whole chain':12} {chain:8.1f} s {max(f['peak_memory_mb'] for f in logs.values()):8.0f} MB at most")
    print(f"{'k=30 after':12} {another_k:8.1f} s")


if __name__ == "__main__":
    main()
