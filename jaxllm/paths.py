"""Where prepared data and the environments of metrics live when nobody says."""

from __future__ import annotations

import os
from pathlib import Path


def resolve_data_dir(setting: str = "") -> str:
    """The folder of prepared corpora: `setting`, else JAXLLM_DATA_DIR, else the user's cache."""
    default = Path.home() / ".cache" / "jaxllm" / "data"
    return setting or os.environ.get("JAXLLM_DATA_DIR") or os.fspath(default)


def resolve_metrics_dir() -> str:
    """The folder of the metrics' own environments: JAXLLM_METRICS_DIR, else the user's cache."""
    default = Path.home() / ".cache" / "jaxllm" / "metrics"
    return os.environ.get("JAXLLM_METRICS_DIR") or os.fspath(default)
