"""The README's examples in Python run as they stand."""

import re
from pathlib import Path

import numpy as np
import pytest

from builders import ROOT

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_examples_in_python_run_one_after_the_other(
    tagger_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tagger").symlink_to(tagger_folder)
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    assert len(EXAMPLES) == 2
    names: dict[str, object] = {}
    for example in EXAMPLES:
        exec(example, names)  # noqa: S102, our own README
    learned = names["Tagger"].load("my_tagger")  # type: ignore[attr-defined]
    assert "Drama" in learned.tags_
    np.testing.assert_allclose(learned.predict_proba(["A marshal rides into town."]).shape, (1, len(learned.tags_)))
