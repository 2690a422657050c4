"""The tokenizer of the embedded suite: SentencePiece, trained on mini's own training text.

Names and template lines are whole pieces, so that a prompt is some thirty tokens and a model of a
million parameters has something to learn from in minutes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from etils import epath

from jaxllm import corpora
from jaxllm.corpora import mini
from jaxllm.text.train_sentencepiece import train_sentencepiece

VOCAB_SIZE = 1400

# The fixed lines of the v1.3 prompt (jaxllm.text.llm_jp_templates). A text begins with
# SentencePiece's dummy space, which the first line takes in.
_HEAD = (
    "以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。要求を適切に満たす応答を書きなさい。"
    "\n\n### 指示:\n"
)
_TEMPLATE_PIECES = (f" {_HEAD}", "\n\n### 入力:\n", "\n\n### 応答:\n")
_LINES_PER_TASK = 1500
_LINES_OF_TEXT = 4000


def mini_tokenizer(data_dir: str | os.PathLike[str]) -> str:
    """Path of the tokenizer below `data_dir`; trained now if it is not there (a few seconds).

    The path holds a digest of what it is trained on, so a changed corpus never meets an old one.
    """
    lines = list(_lines(data_dir))
    symbols = [*mini.symbols(), *_TEMPLATE_PIECES]
    digest = hashlib.sha256("\0".join([*lines, *symbols, str(VOCAB_SIZE)]).encode()).hexdigest()
    path = epath.Path(data_dir) / "tokenizers" / f"mini-{digest[:12]}" / "tokenizer.model"
    if not path.exists():
        train_sentencepiece(
            lines, path, vocab_size=VOCAB_SIZE, user_defined_symbols=symbols, character_coverage=1.0
        )
    return os.fspath(path)


def _lines(data_dir: str | os.PathLike[str]) -> Iterator[str]:
    for corpus in mini.TASKS:
        for row in corpora.load(corpus.name, "train", data_dir=data_dir)[:_LINES_PER_TASK]:
            yield row["input"]
            yield row["output"]
    for row in corpora.load(mini.TEXT.name, "train", data_dir=data_dir)[:_LINES_OF_TEXT]:
        yield row["output"]
