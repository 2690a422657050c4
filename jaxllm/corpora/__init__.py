"""Corpora as TensorFlow Datasets without TensorFlow; `corpora.load("mini/nli", "dev", ...)`."""

from jaxllm.corpora.llm_jp_eval_files import export
from jaxllm.corpora.store import absent_files, get, info, is_prepared, load, names, prepare
from jaxllm.corpora.verify import Verdict, verify

__all__ = [
    "Verdict",
    "absent_files",
    "export",
    "get",
    "info",
    "is_prepared",
    "load",
    "names",
    "prepare",
    "verify",
]
