"""What this process may use of its machine, has used, and keeps to itself."""

import os
import re
import sys
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two processes from one file there
    fcntl = None  # type: ignore[assignment]
try:
    import resource
except ImportError:  # Windows does not report the peak memory of a process
    resource = None  # type: ignore[assignment]

STATUS = Path("/proc/self/status")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory_mb() -> float:
    """The peak memory of this process, MiB; 0 where the system does not report it."""
    if STATUS.exists():  # getrusage would give the peak of the process that started this one, if that is larger
        return int(re.findall(r"VmHWM:\s+(\d+) kB", STATUS.read_text())[0]) / 2**10
    if resource is None:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def lock(file: IO[Any], *, shared: bool = False) -> bool:
    """Lock an open file until it is closed or the process ends: for this process alone, or shared with others.

    A shared lock waits while another process holds the file alone; the other kind does not wait.

    Returns:
        False where another process holds a lock.
    """
    if fcntl:
        try:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
