"""A `python` that has imported the numerical libraries already, and forks for each script that it is given.

Each script runs in a process of its own, with its own folder, environment and standard streams, and imports the
project's code anew. The import of other people's libraries, seconds before its first line, is done once for all.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = [
    *("onnx", "onnxscript", "pandas", "pyarrow.parquet", "pydantic", "requests", "scipy.stats"),
    *("sentence_transformers", "sklearn.cluster", "sklearn.linear_model", "torch.onnx", "transformers", "accelerate"),
]
CLIENT = """#!{python} -IS
import json, os, socket, sys
words = sys.argv[1:]
if "PYTHONHASHSEED" in os.environ or not words or words[0].startswith("-") and words[0] != "-c":
    os.execv({python!r}, [{python!r}, *words])  # it holds from a process's first moment on
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"3"], [0, 1, 2])
    server.sendall(json.dumps([words, os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    code = int(server.recv(16) or 70)
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextmanager
def preloaded_python(folder: Path) -> Iterator[Path]:
    """A folder for the PATH whose `python` is this one; it ends with the block, or with this process."""
    address = str(folder / "socket")
    env = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    env.pop("PYTHONPATH", None)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, __file__, address], env=env, stdin=pipe, stdout=pipe) as server:
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"
        (folder / "bin").mkdir()
        client = folder / "bin/python"
        client.write_text(CLIENT.format(python=sys.executable, address=address), encoding="utf-8")
        client.chmod(0o755)
        yield folder / "bin"
        server.communicate()  # closes its input, at which it ends


def next_script(address: str) -> list[str] | None:
    """Serve until a process comes back that is to run these words of a command line; None at the end of all."""
    path = sys.path[1:]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return run_for(connection, path)
            connection.close()
    return None


def run_for(connection: socket.socket, path: list[str]) -> list[str]:
    """Fork the process that is asked for, and tell its exit status; only the new process comes back."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    words, folder, env = json.load(connection.makefile("rb"))
    if child := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(str(code).encode())
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    first = "" if words[0] == "-c" else str(Path(words[0]).parent.resolve())
    sys.path[:] = [first, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep)), *path]
    return list(map(str, words))


def run(words: list[str]) -> None:
    """Do as `python` does with these words."""
    if words[0] != "-c":
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
        return
    sys.argv = ["-c", *words[2:]]
    main = sys.modules["__main__"] = ModuleType("__main__")
    names: dict[str, Any] = main.__dict__
    exec(compile(words[1], "<string>", "exec"), names)  # noqa: S102, what our own tests say


if __name__ == "__main__":
    for library in LIBRARIES:
        import_module(library)
    gc.freeze()
    if script := next_script(sys.argv[1]):
        run(script)
