"""llm-jp-eval 2.1 (as of 2.1.3): 57 data sets in 14 categories, a prompt and answer patterns anew.

What is certain: the data sets, their categories and headline metrics, the averages (AVR over all
categories; JA and EN over the categories of their own data sets, translation counting as JA), the
wording of the prompt, what the answer patterns tell and find but for boxed answers, and that BOS is
left to the tokenizer.

What is not published in full, and stands as unverified in every result it may touch:

- the newlines at the beginning of the prompt and before its last input;
- the instructions. Published are those named in `_PUBLISHED`. It is known that the clause that
  forbids anything but the answer was taken out, so the others are those of 1.4.1 without it;
- which pattern NLI but for JSeM, RC, BBH, JamC-QA, SUM, IF and JSTS have; what the model is told
  of a boxed answer and how one is found; whether shots stand in the form of the answers;
- the number of shots. Those in `_ZERO_SHOT` are known to have none; others that only evaluate, such
  as GPQA and AIME, may have none either;
- the lengths of answers. Those of 1.4.1 are kept, with room for the tags or the box;
- the rows of sets that became one test split: here the test split of 1.4.1 is asked;
- the inputs, where a data set changed its form between 1.4.1 and 2.1.

A run of 2.1 samples with temperature 1.0 unless told otherwise; here decoding is greedy unless
the evaluator says otherwise.
"""

from __future__ import annotations

import re
from typing import Any

from jaxllm import corpora
from jaxllm.tasks.suites.llm_jp_eval import (
    EXACT_MATCH,
    SET_F1,
    TO_ENGLISH,
    TO_JAPANESE,
    Member,
    suite_tasks,
)
from jaxllm.tasks.task import Suite

_NAME = "llm-jp-eval/v2.1"
_MATHEMATICS = ("mathematical_equivalence",)
_POLYMATH = ("polymath_weighted_accuracy",)
_HLE = ("hle_exact_match",)

_DATA_SETS: dict[str | None, dict[str, tuple[str, ...]]] = {
    "NLI": dict.fromkeys(("jamp", "janli", "jnli", "jsem", "jsick"), EXACT_MATCH),
    "QA": {
        **dict.fromkeys(("jemhopqa", "niilc", "aio", "jamc-qa"), EXACT_MATCH),
        "triviaqa": ("triviaqa_f1",),
        "drop": ("drop_f1",),
    },
    "RC": {"jsquad": EXACT_MATCH},
    "CR": dict.fromkeys(
        ("commonsensemoralja", "jcommonsenseqa", "kuci", "winogrande_xl"), EXACT_MATCH
    ),
    "HE-JA": {
        **dict.fromkeys(("jmmlu", "mmlu_prox_ja", "mmmlu"), EXACT_MATCH),
        **dict.fromkeys(("gpqa_diamond_ja", "gpqa_extended_ja", "gpqa_main_ja"), EXACT_MATCH),
        "jhle": _HLE,
    },
    "HE-EN": {
        **dict.fromkeys(("mmlu_en", "mmlu_prox_en", "openbookqa"), EXACT_MATCH),
        **dict.fromkeys(("gpqa_diamond_en", "gpqa_extended_en", "gpqa_main_en"), EXACT_MATCH),
        "hle": _HLE,
    },
    "EL": {"chabsa": SET_F1},
    "FA": {
        **dict.fromkeys(("wiki_ner", "wiki_dependency", "wiki_pas", "wiki_coreference"), SET_F1),
        "wiki_reading": ("char_f1",),
    },
    "MR": {
        **dict.fromkeys(("aime2024", "aime2025", "gsm8k", "mawps", "mgsm"), _MATHEMATICS),
        **dict.fromkeys(("polymath-en", "polymath-ja"), _POLYMATH),
    },
    "MT": {
        "alt-e-to-j": TO_JAPANESE,
        "alt-j-to-e": TO_ENGLISH,
        "wikicorpus-e-to-j": TO_JAPANESE,
        "wikicorpus-j-to-e": TO_ENGLISH,
    },
    "CG": {"jhumaneval": ("code_exec",), "mbpp": ("code_exec", "pylint_check")},
    "SUM": {"xlsum_ja": ("rouge2_scaling", "rouge1", "rougeL")},
    "IF": dict.fromkeys(("mif_eval_ja", "mif_eval_en"), ("mifeval_strict",)),
    "BBH": dict.fromkeys(
        (
            "bigbenchhard_direct",
            "bigbenchhard_cot",
            "bigbenchhard_ja_direct",
            "bigbenchhard_ja_cot",
        ),
        EXACT_MATCH,
    ),
    None: {"jsts": ("pearson", "spearman")},
}
_ENGLISH = frozenset(
    (
        *("aime2024", "aime2025", "gsm8k", "polymath-en", "winogrande_xl", "triviaqa", "drop"),
        *_DATA_SETS["HE-EN"],
        *("mif_eval_en", "bigbenchhard_direct", "bigbenchhard_cot"),
    )
)
_ZERO_SHOT = frozenset(
    (
        *("jmmlu", "mmmlu", "jsem", "jhumaneval", "mbpp", "xlsum_ja", "polymath-en", "polymath-ja"),
        *("wikicorpus-e-to-j", "wikicorpus-j-to-e", *_DATA_SETS["IF"], *_DATA_SETS["BBH"]),
    )
)
_ENGLISH_TASKS = frozenset(f"{_NAME}:{name}" for name in _ENGLISH)
# Of those without shots, the ones that 1.4.1 had in three splits.
_ONE_SPLIT = frozenset(("jmmlu", "jsem", "mbpp", "wikicorpus-e-to-j", "wikicorpus-j-to-e"))

_DEFAULT_PATTERN = "v2"
_WHOLE_OUTPUT = "regex:(.*)"
_PATTERNS: dict[str | None, str] = {
    **dict.fromkeys(("NLI", "QA", "RC", "EL", "FA", "BBH", None), "answer_tags"),
    **dict.fromkeys(("CR", "HE-JA", "HE-EN"), "choice_only"),
    "MR": "latex_boxed",
    "CG": "code_output",
    **dict.fromkeys(("MT", "SUM"), _DEFAULT_PATTERN),
    "IF": _WHOLE_OUTPUT,
}
_OTHER_PATTERNS = {"jamc-qa": "choice_only", "hle": "answer_tags", "jhle": "answer_tags"}
_GUESSED_PATTERNS = frozenset(
    (
        *("jamp", "janli", "jnli", "jsick", "jsquad", "jamc-qa", "xlsum_ja", "jsts"),
        *(*_DATA_SETS["IF"], *_DATA_SETS["BBH"]),
    )
)
# Tokens that `<answer></answer>` or `\boxed{}` take in the vocabularies of llm-jp, and a few more.
_ROOM = {"answer_tags": 20, "latex_boxed": 20}

_PUBLISHED = {
    "jsick": (
        "前提と仮説の関係をentailment、contradiction、neutralの中から回答してください。\n\n"
        "制約：\n"
        "- 前提が真であるとき仮説が必ず真になる場合はentailmentと出力\n"
        "- 前提が真であるとき仮説が必ず偽になる場合はcontradictionと出力\n"
        "- そのいずれでもない場合はneutralと出力"
    ),
    "kuci": (
        "文脈と選択肢を入力として受け取り、選択肢から文脈の後に続く文として最も適切なものを選択して"
        "ください。なお、回答は選択肢の番号（例：0）でするものとします。"
    ),
    "gsm8k": "Solve the given question. Return number only.",
    "drop": "Answer the question based on the passage.",
    "alt-e-to-j": (
        "これから提示する英語の文章を日本語に翻訳してください。必ず日本語の訳文を出力してください。"
    ),
    "mbpp": (
        "あなたはPythonを専門にするプログラマです。タスクは下記の通りであり、あなたが書いたコードは"
        "入力に書かれたテストケースを通過する必要があります。"
    ),
}
# In the manner of the published ones.
_LIKE_PUBLISHED = {
    "jcommonsenseqa": (
        "質問と回答の選択肢を入力として受け取り、選択肢から回答を選択してください。なお、"
        "回答は選択肢の番号（例：0）でするものとします。"
    ),
    "wikicorpus-e-to-j": _PUBLISHED["alt-e-to-j"],
    **dict.fromkeys(
        ("alt-j-to-e", "wikicorpus-j-to-e"),
        "これから提示する日本語の文章を英語に翻訳してください。必ず英語の訳文を出力してください。",
    ),
}
_ENTAILMENT = ("entailment", "contradiction", "neutral")
_LABELS = {
    **dict.fromkeys(("jamp", "jnli", "jsick"), _ENTAILMENT),
    "janli": ("entailment", "non-entailment"),
    "jsem": ("yes", "no", "unknown", "undef"),
    "commonsensemoralja": ("0", "1"),
    "jcommonsenseqa": ("0", "1", "2", "3", "4"),
    "kuci": ("0", "1", "2", "3"),
    **dict.fromkeys(("jmmlu", "mmlu_en"), ("A", "B", "C", "D")),
}


def _without_clause(instruction: str) -> str:
    """The instruction without the clause that forbids anything but the answer."""
    forbids = "には何も含めないことを厳守してください。"
    told_and = re.sub(f"、(?:それ以外|他){forbids}", "てください。", instruction)
    return re.sub(f" ?(?:それ以外|回答の他){forbids}", "", told_and)


def _fields(name: str, category: str | None) -> dict[str, Any]:
    """What version 2.1 changes of a data set."""
    language = "en" if name in _ENGLISH else "ja"
    pattern = _OTHER_PATTERNS.get(name, _PATTERNS[category])
    told = pattern not in (_DEFAULT_PATTERN, _WHOLE_OUTPUT)
    num_shots = 0 if name in _ZERO_SHOT else 4
    doubts = ["newlines of the prompt", "form of the input", "length of the answer"]
    doubts += ["instruction"] if name not in _PUBLISHED else []
    doubts += ["answer pattern"] if name in _GUESSED_PATTERNS or pattern == "latex_boxed" else []
    doubts += ["form of the shots"] if told and num_shots else []
    doubts += ["rows of the split"] if name in _ONE_SPLIT else []
    fields: dict[str, Any] = {
        "template": f"llm_jp_v2_{language}",
        "extraction": pattern + {"ja": "_jp", "en": "_en"}[language] if told else pattern,
        "num_shots": num_shots,
        "labels": _LABELS.get(name, ()),
        "instruction": _PUBLISHED.get(name, _LIKE_PUBLISHED.get(name)),
        "unverified": f"not published in full: {', '.join(doubts)}",
    }
    if name in corpora.names():
        corpus = corpora.get(name)
        fields["instruction"] = fields["instruction"] or _without_clause(corpus.instruction)
        fields["max_new_tokens"] = corpus.output_length + _ROOM.get(pattern, 0)
    return fields


_MEMBERS = tuple(
    Member(name, category, metrics + (("ool",) if name in _LABELS else ()))
    for category, members in _DATA_SETS.items()
    for name, metrics in members.items()
)

SUITE = Suite(
    name=_NAME,
    tasks=suite_tasks(
        _NAME,
        _MEMBERS,
        {member.corpus: _fields(member.corpus, member.category) for member in _MEMBERS},
        bos="auto",
    ),
    categories=tuple(category for category in _DATA_SETS if category),
    average_name="AVR",
    parts={
        "JA": frozenset(f"{_NAME}:{member.corpus}" for member in _MEMBERS) - _ENGLISH_TASKS,
        "EN": _ENGLISH_TASKS,
    },
)
