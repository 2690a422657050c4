"""llm-jp-eval 1.0: ten tasks, four categories, the answer cut at its first line.

Unverified throughout: 1.0 put few-shots before every question that were written by hand and are
not published as data; the first four rows of train stand in for them. Its instructions for JSTS,
JEMHopQA and NIILC are pinned here, where they differ from those of 1.3.
"""

from __future__ import annotations

from jaxllm.tasks.suites.llm_jp_eval import CHAR_F1, EXACT_MATCH, Member, suite_tasks
from jaxllm.tasks.task import Suite

_NAME = "llm-jp-eval/v1.0"
_MEMBERS = (
    Member("jcommonsenseqa", "MC", EXACT_MATCH),
    Member("jamp", "NLI", EXACT_MATCH),
    Member("janli", "NLI", EXACT_MATCH),
    Member("jnli", "NLI", EXACT_MATCH),
    Member("jsem", "NLI", EXACT_MATCH),
    Member("jsick", "NLI", EXACT_MATCH),
    Member("jemhopqa", "QA", CHAR_F1),
    Member("niilc", "QA", CHAR_F1),
    Member("jsquad", "RC", CHAR_F1),
    Member("jsts", None, ("pearson", "spearman")),
)
_CHANGES = {
    "jemhopqa": {
        "instruction": (
            "質問を入力とし、回答を出力してください。回答の他には何も含めないことを厳守してください。"
        )
    },
    "niilc": {
        "instruction": (
            "質問に対する答えを出力してください。答えが複数の場合、コンマ（,）で繋げてください。"
        )
    },
    "jsts": {
        "instruction": (
            "日本語の文ペアの意味がどのくらい近いかを判定し、類似度を0〜5までの間の値で付与して"
            "ください。0に近いほど文ペアの意味が異なり、5に近いほど文ペアの意味が似ていることを"
            "表しています。整数値のみを返し、それ以外には何も含めないことを厳守してください。"
        )
    },
}

SUITE = Suite(
    name=_NAME,
    tasks=suite_tasks(
        _NAME,
        _MEMBERS,
        _CHANGES,
        template="llm_jp_v1.0",
        extraction="v1.0",
        unverified="shots from train stand in for 1.0's hand-written ones",
    ),
    categories=("MC", "NLI", "QA", "RC"),
    average_name="AVR",
)
