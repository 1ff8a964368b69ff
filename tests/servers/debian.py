"""Programs out of the distribution's packages, without root: unpacked once into the user's cache."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "motags-tests"
TOOLS = ("apt-get", "dpkg-deb", "setpriv")


class UnavailableError(Exception):
    """Why a program can't be set up here, in one sentence."""


def unpacked(program: str, unpack: Callable[["Apt", Path], None]) -> Path:
    """The folder with a program's packages, made once; its name ends in the version of the package `program`.

    Raises:
        UnavailableError: no tools, no network, or no such package.
    """
    with locked(program):
        there = sorted(CACHE.glob(f"{program}-*"))
        return there[-1] if there else _download(program, unpack)


def _download(program: str, unpack: Callable[["Apt", Path], None]) -> Path:
    for tool in TOOLS:
        if not shutil.which(tool):
            raise UnavailableError(f"No {program} to test with: {tool} is missing (it is set up from Debian packages).")
    downloads = CACHE / f"downloads-{program}"
    shutil.rmtree(downloads, ignore_errors=True)  # of one that was killed
    try:
        apt = Apt(downloads, program)
        folder = CACHE / f"{program}-{apt.version(program)}"
        make_once(folder, lambda draft: unpack(apt, draft))
        return folder
    finally:
        shutil.rmtree(downloads, ignore_errors=True)


class Apt:
    """Apt with lists and archives of its own: it needs no root, and takes nothing that is out of date."""

    def __init__(self, folder: Path, program: str) -> None:
        self._archives, self._program = folder / "archives", program
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True)
        options = {"Dir::State::lists": folder / "lists", "Dir::Cache": folder, "Debug::NoLocking": 1}
        options |= {"APT::Sandbox::User": "root", "Acquire::Retries": 2, "Acquire::http::Timeout": 20}
        self._options = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        self._run("apt-get", "update")
        if not any((folder / "lists").glob("*Packages*")):
            raise self._unavailable("apt-get update got no package lists (no network?)")

    def depends(self, package: str, prefix: str) -> str:
        """The first package that this one depends on whose name starts so."""
        words = self._run("apt-cache", "depends", "--important", package).split()[1:]
        for word in words:
            if word.startswith(prefix):
                return word
        raise self._unavailable(f"{package} needs no package named {prefix}… here")

    def version(self, package: str) -> str:
        """The version that would be downloaded, fit for a file name."""
        said = self._run("apt-cache", "show", "--no-all-versions", package)
        version = next(line for line in said.splitlines() if line.startswith("Version: "))
        return version.removeprefix("Version: ").replace(":", "_")

    def download(self, packages: list[str], needed_by: list[str]) -> None:
        """Download these, and of what the second list needs all that the machine lacks."""
        self._run("apt-get", "download", *packages)
        self._run("apt-get", "install", "--download-only", "--yes", "--no-install-recommends", *needed_by)

    def unpack(self, folder: Path) -> None:
        """Unpack all that was downloaded."""
        for package in self._archives.glob("*.deb"):
            self._run("dpkg-deb", "-x", str(package), str(folder))

    def _run(self, tool: str, *words: str) -> str:
        options = self._options if tool.startswith("apt") else []
        done = subprocess.run([tool, *options, *words], cwd=self._archives, capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("E: ")] or ["no reason given"]
            raise self._unavailable(f"{tool} {words[0]} said: {said[-1]}")
        return done.stdout

    def _unavailable(self, reason: str) -> UnavailableError:
        return UnavailableError(f"No {self._program} to test with: {reason}.")


def libraries(folder: Path) -> dict[str, str]:
    """The environment in which programs of this folder find its libraries, before those of the machine."""
    paths = sorted({str(file.parent) for file in folder.glob("usr/lib/*-linux-gnu*/**/*.so*")})  # some in folders
    return {"LD_LIBRARY_PATH": os.pathsep.join([*paths, os.environ.get("LD_LIBRARY_PATH", "")]).rstrip(os.pathsep)}


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test; with CI=true fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock among the processes of this user."""
    (CACHE / "locks").mkdir(parents=True, exist_ok=True)
    with (CACHE / "locks" / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_once(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a folder whole or not at all; its lock is held."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f"draft-{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)  # of one that was killed
    draft.mkdir()
    try:
        make(draft)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
