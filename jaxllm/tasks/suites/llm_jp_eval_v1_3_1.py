"""llm-jp-eval 1.3.1: four shots from the head of train, no BOS, cut at the first blank line.

AVR is the mean of nine categories, each the mean of its tasks' headline metrics; COMET is that of
translation. JSTS is run and enters none. Instructions and the lengths of the answers, in tokens of
the evaluated model, are those of the corpora, whose files have the published sha256.
"""

from __future__ import annotations

from jaxllm.tasks.suites.llm_jp_eval import (
    CHAR_F1,
    EXACT_MATCH,
    SET_F1,
    TO_ENGLISH,
    TO_JAPANESE,
    Member,
    suite_tasks,
)
from jaxllm.tasks.task import Suite

_NAME = "llm-jp-eval/v1.3.1"
MEMBERS = (
    Member("chabsa", "EL", SET_F1),
    Member("wiki_reading", "FA", CHAR_F1),
    Member("wiki_ner", "FA", SET_F1),
    Member("wiki_dependency", "FA", SET_F1),
    Member("wiki_pas", "FA", SET_F1),
    Member("wiki_coreference", "FA", SET_F1),
    Member("mmluen", "HE", EXACT_MATCH),
    Member("jmmlu", "HE", EXACT_MATCH),
    Member("jcommonsenseqa", "MC", EXACT_MATCH),
    Member("mawps", "MR", EXACT_MATCH),
    Member("alt-e-to-j", "MT", TO_JAPANESE),
    Member("alt-j-to-e", "MT", TO_ENGLISH),
    Member("wikicorpus-e-to-j", "MT", TO_JAPANESE),
    Member("wikicorpus-j-to-e", "MT", TO_ENGLISH),
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

SUITE = Suite(
    name=_NAME,
    tasks=suite_tasks(_NAME, MEMBERS, {}, template="llm_jp_v1.3", extraction="v1.3"),
    categories=("EL", "FA", "HE", "MC", "MR", "MT", "NLI", "QA", "RC"),
    average_name="AVR",
)
