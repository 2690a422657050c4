"""Compiled programs kept on disk, so that the second start of a run takes seconds."""

from __future__ import annotations

import os

import jax
from etils import epath

_VARIABLE = "JAXLLM_COMPILATION_CACHE"
_DEFAULT = "~/.cache/jaxllm/jax"


def enable_compilation_cache() -> str | None:
    """Turns JAX's persistent compilation cache on and returns its folder, or None when it is off.

    The folder is, in this order: `$JAXLLM_COMPILATION_CACHE` (`off` turns the cache off), the one
    that JAX was already given (`$JAX_COMPILATION_CACHE_DIR`), `~/.cache/jaxllm/jax`.
    """
    jax_folder = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    folder = os.environ.get(_VARIABLE) or jax_folder or _DEFAULT
    if folder == "off":
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    folder = os.fspath(epath.Path(folder).expanduser())
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", folder)
    # By default JAX keeps only programs that took a second to compile and leaves small ones out; a
    # run is made of many small programs, and together they are most of its start-up time.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder
