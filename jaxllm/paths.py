"""Where prepared data lives when a config does not say."""

from __future__ import annotations

import os
from pathlib import Path


def resolve_data_dir(setting: str = "") -> str:
    """The folder of prepared corpora: `setting`, else JAXLLM_DATA_DIR, else the user's cache."""
    default = Path.home() / ".cache" / "jaxllm" / "data"
    return setting or os.environ.get("JAXLLM_DATA_DIR") or os.fspath(default)
