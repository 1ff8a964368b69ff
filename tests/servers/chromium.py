"""A real headless Chromium, out of the distribution's packages: `with browser() as chromium: chromium.new_page()`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from servers.debian import Apt, UnavailableError, libraries, skip_or_fail, unpacked

PROGRAM = "chromium-headless-shell"
PACKAGES = [PROGRAM, "fonts-dejavu-core"]


def software() -> Path:
    """The folder with the unpacked packages, downloaded once."""
    return unpacked(PROGRAM, _unpack)


def _unpack(apt: Apt, folder: Path) -> None:
    apt.download(PACKAGES, needed_by=PACKAGES)
    apt.unpack(folder)


@contextmanager
def browser() -> Iterator[Browser]:
    """Start it; skip the test where it can't be set up, and with CI=true fail it."""
    try:
        folder = software()
    except UnavailableError as error:
        skip_or_fail(str(error))
    program = next(folder.glob(f"usr/lib/chromium/{PROGRAM}"))
    env: dict[str, str | float | bool] = {**os.environ, **libraries(folder)}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, env=env)
        yield chromium
        chromium.close()
