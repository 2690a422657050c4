"""How much memory this process and its devices need."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import psutil


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


def rss_mb() -> float:
    """The memory that this process holds resident now, in MiB."""
    return psutil.Process().memory_info().rss / 2**20


def device_memory_mb() -> float | None:
    """The most that any device of this process ever held, in MiB; None where none tells (CPU)."""
    import jax  # what measures small processes should not make them large

    told = [stats for device in jax.local_devices() if (stats := device.memory_stats())]
    peaks = [stats["peak_bytes_in_use"] for stats in told if "peak_bytes_in_use" in stats]
    return max(peaks) / 2**20 if peaks else None
