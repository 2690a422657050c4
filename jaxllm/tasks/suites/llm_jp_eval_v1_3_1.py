"""llm-jp-eval 1.3.1: four shots from the head of train, no BOS, cut at the first blank line.

AVR is the mean of nine categories, each the mean of its tasks' headline metrics; JSTS is run and
enters none. Instructions and the sizes of the answers are those of the corpora, whose files have
the published sha256.
"""

from __future__ import annotations

from jaxllm.tasks.suites.llm_jp_eval import suite_tasks
from jaxllm.tasks.task import Suite

_NAME = "llm-jp-eval/v1.3.1"
MEMBERS = (
    ("chabsa", "EL"),
    ("wiki_reading", "FA"),
    ("wiki_ner", "FA"),
    ("wiki_dependency", "FA"),
    ("wiki_pas", "FA"),
    ("wiki_coreference", "FA"),
    ("mmluen", "HE"),
    ("jmmlu", "HE"),
    ("jcommonsenseqa", "MC"),
    ("mawps", "MR"),
    ("alt-e-to-j", "MT"),
    ("alt-j-to-e", "MT"),
    ("wikicorpus-e-to-j", "MT"),
    ("wikicorpus-j-to-e", "MT"),
    ("jamp", "NLI"),
    ("janli", "NLI"),
    ("jnli", "NLI"),
    ("jsem", "NLI"),
    ("jsick", "NLI"),
    ("jemhopqa", "QA"),
    ("niilc", "QA"),
    ("jsquad", "RC"),
    ("jsts", None),
)
_TO_JAPANESE = {
    "metrics": ("comet_wmt22", "bert_score_ja_f1", "bleu_compat_ja", "bleu_ja"),
}
_TO_ENGLISH = {
    "metrics": ("comet_wmt22", "bert_score_en_f1", "bleu_compat_en", "bleu_en"),
}
# COMET is the headline of translation; llm-jp-eval's BLEU, which compares characters, stands beside
# a real one.
TRANSLATION = {
    "alt-e-to-j": _TO_JAPANESE,
    "alt-j-to-e": _TO_ENGLISH,
    "wikicorpus-e-to-j": _TO_JAPANESE,
    "wikicorpus-j-to-e": _TO_ENGLISH,
}

SUITE = Suite(
    name=_NAME,
    tasks=suite_tasks(_NAME, MEMBERS, TRANSLATION, template="llm_jp_v1.3", extraction="v1.3"),
    categories=("EL", "FA", "HE", "MC", "MR", "MT", "NLI", "QA", "RC"),
    average_name="AVR",
)
