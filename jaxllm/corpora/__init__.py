"""Corpora as TensorFlow Datasets without TensorFlow; `corpora.load("mini/nli", "dev", ...)`."""

from jaxllm.corpora.store import export, get, info, load, names, prepare

__all__ = ["export", "get", "info", "load", "names", "prepare"]
