"""How much memory this process has needed."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_rss_mb() -> float:
    """The most memory this process ever held resident, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux keeps ru_maxrss across exec, so a small program started by a large one would report
        # the parent's peak there; VmHWM is the process's own.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)  # bytes there, KiB elsewhere
