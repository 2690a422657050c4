"""What every test stands on: eight virtual CPU devices, compiled programs kept, where data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

_REPO = Path(__file__).resolve().parent.parent

# Before JAX is imported, and in the environment, so that processes that tests start have it too.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    _flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    os.environ["XLA_FLAGS"] = _flags.strip()
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_REPO / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# An example's first run compiles, so its time says nothing; the same examples on every machine.
settings.register_profile("jaxllm", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("jaxllm")


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable) or _REPO.parent / "shared" / default)
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; set {variable}")
    return folder


@pytest.fixture(scope="session")
def raw_dir() -> Path:
    """The downloaded raw corpora, one folder each ($JAXLLM_RAW_DIR); skips where there are none."""
    return _folder("JAXLLM_RAW_DIR", "data")


@pytest.fixture(scope="session")
def tokenizers_dir() -> Path:
    """The llm-jp tokenizers ($JAXLLM_TOKENIZERS_DIR); skips where there are none."""
    return _folder("JAXLLM_TOKENIZERS_DIR", "tokenizers")


@pytest.fixture(scope="session")
def spec_dir() -> Path:
    """The conformance cases of the metrics ($JAXLLM_SPEC_DIR); skips where there are none."""
    return _folder("JAXLLM_SPEC_DIR", "spec")
