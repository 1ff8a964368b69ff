"""Progress: a bar where someone looks, lines now and then where a log is kept."""

import io
import logging
import os
import re
import subprocess
import sys
import time

import pytest

from motags import progress
from motags.progress import Progress


def lines(caplog: pytest.LogCaptureFixture, total: int | None, steps: list[int]) -> list[str]:
    """What is logged of some steps."""
    with caplog.at_level(logging.INFO, "motags.progress"), Progress("pages", total, "pages") as bar:
        for step in steps:
            bar.update(step)
    return caplog.messages


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error as a file."""
    error = io.StringIO()
    monkeypatch.setattr(sys, "stderr", error)
    return error


def test_a_log_says_how_far_it_is_and_the_time_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, no_terminal: io.StringIO
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    first, second = lines(caplog, 4000, [1000, 3000])
    assert re.fullmatch(r"pages: 1,000 of 4,000 pages, \d+ s left", first)
    assert second == "pages: 4,000 of 4,000 pages, 0 s left"
    assert no_terminal.getvalue() == ""


@pytest.mark.parametrize("total", [None, 0])
def test_without_a_total_a_log_says_how_many(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    total: int | None,
    no_terminal: io.StringIO,  # noqa: ARG001, it takes the place of standard error
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert lines(caplog, total, [0, 1500]) == ["pages: 0 pages", "pages: 1,500 pages"]


def test_a_log_gets_a_line_now_and_then_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, no_terminal: io.StringIO
) -> None:
    assert lines(caplog, 1000, [1] * 1000) == []
    monkeypatch.setattr(progress, "EVERY", 0.5)
    with caplog.at_level(logging.INFO, "motags.progress"), Progress("pages", None, "pages") as bar:
        time.sleep(0.6)
        for _ in range(5):
            bar.update()
    assert caplog.messages == ["pages: 1 pages"]
    assert no_terminal.getvalue() == ""


WORK = """
import logging, sys
from motags import progress
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
progress.EVERY = 0.0
with progress.Progress("pages", 3, "pages") as bar:
    bar.update(3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal that we can read")
@pytest.mark.timeout(60)
def test_a_terminal_gets_a_bar_and_no_lines() -> None:
    import termios  # noqa: PLC0415, Windows has none

    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    done = subprocess.run([sys.executable, "-c", WORK], stderr=theirs, stdout=subprocess.PIPE, check=True)
    shown = os.read(ours, 10_000).decode()
    for end in (ours, theirs):
        os.close(end)
    assert "pages:   0%" in shown
    assert shown.endswith("\r")  # and wiped when the work is done
    assert done.stdout == b""
