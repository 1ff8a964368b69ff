"""Every stage imports this first: it says what to do where this Python has no motags."""

import sys
from importlib.util import find_spec

if find_spec("motags") is None:
    sys.exit(
        f"{sys.executable} has no motags: activate the project's environment by `. .venv/bin/activate` (`make repro` "
        "makes it), then run the command again"
    )
