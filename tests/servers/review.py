"""The page of `motags review` as a process of its own on loopback: `with Review(...) as page: page.get("/")`."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import requests

PROGRAM = """
import logging, os, sys
from functools import partial
from pathlib import Path
from motags.errors import MotagsError
from motags.web.server import serve
logging.basicConfig(level=os.environ.get("LEVEL", "WARNING"))
*paths, host, port, reviewer = sys.argv[1:]
try:
    serve(*map(Path, paths), host, int(port), reviewer or None, announce=partial(print, flush=True))
except MotagsError as error:
    sys.exit(f"motags review: {error}")
"""


class Review:
    """A page over a catalogue, started again on the same port after a kill.

    Attributes:
        address: where it answers, without a path. said: what it printed.
    """

    def __init__(
        self, catalogue: Path, model: Path, decisions: Path, host: str = "127.0.0.1", reviewer: str = "Ana", **env: str
    ) -> None:
        self._given = [str(catalogue), str(model), str(decisions), host]
        self._reviewer, self._port, self._env = reviewer, 0, os.environ | env
        self.decisions = decisions

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop(signal.SIGKILL)

    def start(self) -> None:
        """Start, and wait until it says where it answers."""
        self.process = self.run()
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        found = re.search(r"http://[^:]+:(\d+)/(?:\?token=(\w+))?", self.said)
        assert found, self.said + self.process.communicate()[1]
        self._port, self.token = int(found[1]), found[2]
        self.address = f"http://127.0.0.1:{self._port}"
        self._errors: list[str] = []
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def run(self) -> subprocess.Popen[str]:
        """Start it and don't wait."""
        command = [sys.executable, "-c", PROGRAM, *self._given, str(self._port), self._reviewer]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._env)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self._errors += process.stderr

    def stop(self, how: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Stop it by a signal; give its exit status and what it wrote to stderr."""
        self.process.send_signal(how)
        status = self.process.wait(30)
        return status, "".join(self._errors)

    def client(self, name: str) -> "Client":
        """A browser of a reviewer who gave this name."""
        return Client(self.address, name)

    def memory_now_mb(self) -> float:
        """Its memory now, from which `memory_mb` starts anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.memory_mb()

    def memory_mb(self) -> float:
        """The peak of its memory so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024

    def wait_for_suggestions(self, films: int) -> None:
        """Wait until as many films have suggestions, which are made in the background: they order the queue."""
        until = time.monotonic() + 60
        with closing(sqlite3.connect(self.decisions)) as connection:
            while connection.execute("SELECT count(*) FROM scored").fetchone() != (films,):
                assert time.monotonic() < until, "not all films were scored"
                time.sleep(0.05)


class Client:
    """What a reviewer's browser sends."""

    def __init__(self, address: str, name: str | None = None) -> None:
        self.address, self.session = address, requests.Session()
        self.session.headers["Origin"] = address
        self.session.trust_env = False
        if name is not None:
            self.session.post(f"{address}/reviewer", data={"name": name}, timeout=30).raise_for_status()

    def get(self, path: str, **query: str) -> requests.Response:
        """Ask for a page."""
        return self.session.get(f"{self.address}{path}?{urlencode(query)}", timeout=60)

    def post(self, path: str, body: Any, **query: str) -> requests.Response:
        """Send a decision."""
        return self.session.post(f"{self.address}{path}?{urlencode(query)}", json=body, timeout=60)

    def decide(self, act: str, film: str, kind: str, tag: str) -> requests.Response:
        """Decide on one tag."""
        return self.post("/decide", {"act": act, "film": film, "decisions": [{"kind": kind, "tag": tag}]})
