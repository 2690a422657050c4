"""jaxllm: tune a Japanese language model and evaluate it, on one mesh, from one config.

    import jaxllm

    model = jaxllm.load_model("path/or/checkpoint")
    jaxllm.train(config, workdir)
    jaxllm.evaluate(config, model, workdir)

Importing the package imports nothing heavy: each name below is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "Engine": "jaxllm.decode.engine",
    "load_model": "jaxllm.weights.load",
}
# Verb modules that are functions too: `jaxllm.train(config, workdir)` (see jaxllm/verb.py).
_VERBS = ("train", "evaluate", "generate", "convert", "score", "report", "sweep", "plan")

__all__ = ["Engine", "__version__", "convert", "evaluate", "generate", "load_model"]
__all__ += ["plan", "report", "score", "sweep", "train"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    if name in _VERBS:
        return importlib.import_module(f"jaxllm.{name}")
    raise AttributeError(f"module 'jaxllm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS, *_VERBS])
