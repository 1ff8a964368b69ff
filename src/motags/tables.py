"""Tables that stages hand to each other, and plot data."""

from pathlib import Path

import pandas as pd

from motags.artifacts import checked, neutral, replacing, sealing


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write plot data, floats to 4 decimals; an apostrophe goes before a text that a spreadsheet would run."""
    texts = frame.select_dtypes(["object", "string"])
    safe = frame.assign(**{str(name): column.map(neutral) for name, column in texts.items()})
    with replacing(path) as temporary:
        safe.to_csv(temporary, index=False, float_format="%.4f", lineterminator="\n")


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write and seal a table."""
    with sealing(path) as temporary:
        frame.to_parquet(temporary, index=False)


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a sealed table. Raises MotagsError where it is missing or damaged."""
    return pd.read_parquet(checked(path))
