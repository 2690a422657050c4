"""Compiled programs stay on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_CODE = """
import jax
from jaxllm.compilation_cache import enable_compilation_cache
print(enable_compilation_cache())
print(float(jax.jit(lambda x: x * 2)(3.0)))
"""


def _run(**variables: str) -> list[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    env |= {"JAX_PLATFORMS": "cpu"} | variables
    done = subprocess.run(
        [sys.executable, "-c", _CODE], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_small_programs_are_kept_in_the_folder_that_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert _run(JAXLLM_COMPILATION_CACHE=str(folder)) == [str(folder), "6.0"]
    kept = sorted(path.name for path in folder.iterdir() if path.name.endswith("-cache"))
    assert kept
    _run(JAXLLM_COMPILATION_CACHE=str(folder))
    again = sorted(path.name for path in folder.iterdir() if path.name.endswith("-cache"))
    assert again == kept  # found, not compiled and stored anew


def test_the_folder_given_to_jax_and_the_default(tmp_path: Path) -> None:
    given = str(tmp_path / "given")
    assert _run(JAX_COMPILATION_CACHE_DIR=given)[0] == given
    assert _run(HOME=str(tmp_path))[0] == str(tmp_path / ".cache" / "jaxllm" / "jax")


def test_off_keeps_nothing(tmp_path: Path) -> None:
    assert _run(HOME=str(tmp_path), JAXLLM_COMPILATION_CACHE="off")[0] == "None"
    assert list(tmp_path.iterdir()) == []
