"""The pinned suites, line by line."""

from __future__ import annotations

import re

import pytest

from jaxllm import corpora, tasks

# llm-jp-eval 1.3.1: category, metrics of the evaluation file, new tokens.
V1_3_1 = {
    "chabsa": ("EL", "set_f1", 191),
    "wiki_reading": ("FA", "char_f1", 512),
    "wiki_ner": ("FA", "set_f1", 256),
    "wiki_dependency": ("FA", "set_f1", 512),
    "wiki_pas": ("FA", "set_f1", 512),
    "wiki_coreference": ("FA", "set_f1", 256),
    "mmluen": ("HE", "exact_match", 1),
    "jmmlu": ("HE", "exact_match", 1),
    "jcommonsenseqa": ("MC", "exact_match", 1),
    "mawps": ("MR", "exact_match", 10),
    "alt-e-to-j": ("MT", "comet_wmt22", 250),
    "alt-j-to-e": ("MT", "comet_wmt22", 500),
    "wikicorpus-e-to-j": ("MT", "comet_wmt22", 300),
    "wikicorpus-j-to-e": ("MT", "comet_wmt22", 550),
    "jamp": ("NLI", "exact_match", 3),
    "janli": ("NLI", "exact_match", 7),
    "jnli": ("NLI", "exact_match", 3),
    "jsem": ("NLI", "exact_match", 3),
    "jsick": ("NLI", "exact_match", 3),
    "jemhopqa": ("QA", "char_f1", 15),
    "niilc": ("QA", "char_f1", 180),
    "jsquad": ("RC", "char_f1", 25),
    "jsts": (None, "pearson", 3),
}
V1_4_1 = {
    **{name: row for name, row in V1_3_1.items() if name not in ("mmluen", "jmmlu")},
    "jmmlu": ("HE", "exact_match", 5),
    "mmlu_en": ("HE", "exact_match", 5),
    "kuci": ("MC", "exact_match", 1),
    "commonsensemoralja": ("MC", "exact_match", 3),
    "mgsm": (None, "exact_match", 10),
    "aio": ("QA", "char_f1", None),
    "mbpp": ("CG", "code_exec", 1000),
    "xlsum_ja": ("SUM", "rouge2_scaling", None),
}
V1_0 = {
    **{name: V1_3_1[name] for name in ("jamp", "janli", "jnli", "jsem", "jsick")},
    **{name: V1_3_1[name] for name in ("jcommonsenseqa", "jemhopqa", "niilc", "jsquad", "jsts")},
}


@pytest.mark.parametrize(
    "name, table, template, extraction",
    [
        ("llm-jp-eval/v1.0", V1_0, "llm_jp_v1.0", "v1.0"),
        ("llm-jp-eval/v1.3.1", V1_3_1, "llm_jp_v1.3", "v1.3"),
        ("llm-jp-eval/v1.4.1", V1_4_1, "llm_jp_v1.3", "v1.3"),
    ],
)
def test_the_suites_of_version_1_are_as_published(name, table, template, extraction):
    suite = tasks.get_suite(name)
    assert {task.corpus for task in suite.tasks} == set(table)
    for task in suite.tasks:
        category, headline, length = table[task.corpus]
        assert (task.category, task.metrics[0]) == (category, headline), task.corpus
        if task.corpus in corpora.names() and length is not None:
            assert task.max_new_tokens == length, task.corpus
        assert (task.template, task.extraction, task.bos) == (template, extraction, "never")
        assert task.num_shots == (0 if task.corpus in ("mbpp", "xlsum_ja") else 4)
        assert task.shot_seed is None
        assert not task.stop


@pytest.mark.parametrize("name", ["llm-jp-eval/v1.0", "llm-jp-eval/v1.3.1", "llm-jp-eval/v1.4.1"])
def test_metrics_of_version_1_are_those_of_the_evaluation_files(name):
    for task in tasks.get_suite(name).tasks:
        if task.corpus in corpora.names() and task.category not in ("MT", "SUM"):
            assert task.metrics == corpora.get(task.corpus).metrics, task.corpus


def test_instructions_of_1_3_1_are_those_of_the_specification(spec_dir):
    text = (spec_dir / "llm-jp-eval.md").read_text(encoding="utf-8")
    blocks = re.findall(
        r"^- `([\w-]+)` \(max new tokens (\d+); metrics ([\w,]+)\):\n\n  ```\n(.*?)\n  ```$",
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
    stated = {
        name: (length, metrics, re.sub(r"^  ", "", body, flags=re.MULTILINE))
        for name, length, metrics, body in blocks
    }
    assert set(V1_3_1) <= set(stated)
    checked = 0
    for task in tasks.get_suite("llm-jp-eval/v1.3.1").tasks:
        if task.corpus not in corpora.names():
            continue
        length, metrics, instruction = stated[task.corpus]
        assert (task.instruction or corpora.get(task.corpus).instruction) == instruction
        assert task.max_new_tokens == int(length)
        assert task.metrics[0] in metrics.split(",")
        checked += 1
    assert checked >= 3


def test_old_versions_differ_in_what_scores_depend_on():
    task = tasks.get_task("llm-jp-eval/v1.0:jemhopqa")
    assert "YES" not in task.instruction
    assert "hand-written" in task.unverified
    assert not tasks.get_task("llm-jp-eval/v1.3.1:jemhopqa").unverified
    assert "0〜5までの間" in tasks.get_task("llm-jp-eval/v1.0:jsts").instruction


@pytest.mark.parametrize("name", tasks.suite_names())
def test_what_is_not_known_for_sure_of_a_corpus_is_not_known_of_its_task(name):
    for task in tasks.get_suite(name).tasks:
        if task.corpus in corpora.names():
            assert corpora.get(task.corpus).unverified in task.unverified


def test_tasks_whose_form_in_1_4_1_is_not_known_say_so():
    for name in ("aio", "kuci", "xlsum_ja", "mbpp", "jmmlu", "mmlu_en"):
        assert tasks.get_task(f"llm-jp-eval/v1.4.1:{name}").unverified


ZERO_SHOT = {
    *("jmmlu", "jsem", "mbpp", "mmmlu", "jhumaneval", "polymath-en", "polymath-ja", "xlsum_ja"),
    *("wikicorpus-e-to-j", "wikicorpus-j-to-e", "mif_eval_ja", "mif_eval_en"),
    *("bigbenchhard_direct", "bigbenchhard_cot", "bigbenchhard_ja_direct", "bigbenchhard_ja_cot"),
}


def test_v2_1_is_as_published_and_says_what_is_not():
    suite = tasks.get_suite("llm-jp-eval/v2.1")
    assert len(suite.tasks) == 57
    assert {task.corpus for task in suite.tasks if task.num_shots == 0} == ZERO_SHOT
    english = {name.partition(":")[2] for name in suite.parts["EN"]}
    for task in suite.tasks:
        language = "en" if task.corpus in english else "ja"
        assert task.template == f"llm_jp_v2_{language}"
        assert task.bos == "auto"
        assert task.unverified
        assert "含めないこと" not in (task.instruction or "")
    assert suite.parts["JA"] | suite.parts["EN"] == {task.name for task in suite.tasks}
    assert not suite.parts["JA"] & suite.parts["EN"]


@pytest.mark.parametrize(
    "corpus, headline, extraction",
    [
        ("jsem", "exact_match", "answer_tags_jp"),
        ("jemhopqa", "exact_match", "answer_tags_jp"),
        ("jsquad", "exact_match", "answer_tags_jp"),
        ("jcommonsenseqa", "exact_match", "choice_only_jp"),
        ("mmlu_en", "exact_match", "choice_only_en"),
        ("jhle", "hle_exact_match", "answer_tags_jp"),
        ("hle", "hle_exact_match", "answer_tags_en"),
        ("chabsa", "set_f1", "answer_tags_jp"),
        ("wiki_reading", "char_f1", "answer_tags_jp"),
        ("mawps", "mathematical_equivalence", "latex_boxed_jp"),
        ("gsm8k", "mathematical_equivalence", "latex_boxed_en"),
        ("polymath-ja", "polymath_weighted_accuracy", "latex_boxed_jp"),
        ("alt-j-to-e", "comet_wmt22", "v2"),
        ("mbpp", "code_exec", "code_output_jp"),
        ("xlsum_ja", "rouge2_scaling", "v2"),
        ("mif_eval_en", "mifeval_strict", "regex:(.*)"),
        ("jsts", "pearson", "answer_tags_jp"),
    ],
)
def test_headlines_and_answer_patterns_of_v2_1(corpus, headline, extraction):
    task = tasks.get_task(f"llm-jp-eval/v2.1:{corpus}")
    assert (task.metrics[0], task.extraction) == (headline, extraction)


def test_the_known_instructions_of_v2_1():
    def instruction(corpus):
        return tasks.get_task(f"llm-jp-eval/v2.1:{corpus}").instruction

    jsick = corpora.get("jsick").instruction
    assert instruction("jsick") == jsick.replace(
        "それ以外には何も含めないことを厳守してください。", ""
    )
    assert instruction("kuci").endswith("なお、回答は選択肢の番号（例：0）でするものとします。")
    assert instruction("jsquad") == (
        "質問に対する回答を文章から一言で抽出してください。回答は名詞で答えてください。"
    )
    assert instruction("mawps").endswith("数値のみを出力してください。")
    assert instruction("jcommonsenseqa").endswith("（例：0）でするものとします。")
    assert instruction("gsm8k") == "Solve the given question. Return number only."


def test_lengths_of_v2_1_leave_room_for_the_form_of_the_answer():
    old = {task.corpus: task for task in tasks.get_suite("llm-jp-eval/v1.3.1").tasks}
    for task in tasks.get_suite("llm-jp-eval/v2.1").tasks:
        if task.corpus in old and task.corpus in corpora.names():
            room = 20 if task.extraction.startswith(("answer_tags", "latex_boxed")) else 0
            assert task.max_new_tokens == old[task.corpus].max_new_tokens + room


def test_the_embedded_suite_has_a_task_for_each_category_and_no_shots():
    mini = tasks.get_suite("mini/v1")
    assert [task.category for task in mini.tasks] == list(mini.categories)
    assert all(task.num_shots == 0 for task in mini.tasks)
