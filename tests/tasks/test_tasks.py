"""Tasks, suites, samples and averages."""

from __future__ import annotations

import dataclasses
import json

import pytest

from jaxllm import corpora, tasks
from jaxllm.errors import UserError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    corpora.prepare(["mini/nli", "mini/qa"], data_dir=folder)
    return folder


def test_suites_name_what_they_ask():
    mini = tasks.get_suite("mini/v1")
    assert [task.category for task in mini.tasks] == list(mini.categories)
    assert all(task.num_shots == 0 for task in mini.tasks)
    llm_jp = tasks.get_suite("llm-jp-eval/v1.3.1")
    settings = {
        task.corpus: (task.category, task.metrics, task.max_new_tokens) for task in llm_jp.tasks
    }
    expected = {
        "jcommonsenseqa": ("MC", ("exact_match",), 1),
        "mawps": ("MR", ("exact_match",), 10),
        "jemhopqa": ("QA", ("char_f1",), 15),
    }
    assert expected.items() <= settings.items()
    for task in llm_jp.tasks:
        assert (task.num_shots, task.template, task.extraction, task.bos) == (
            4,
            "llm_jp_v1.3",
            "v1.3",
            "never",
        )


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(UserError, match="mini/v1:nli"):
        tasks.get_task("mini/v1:nil")
    with pytest.raises(UserError, match="mini/v1"):
        tasks.get_suite("mini/v2")
    with pytest.raises(UserError, match="num_shots"):
        tasks.get_task("mini/v1:nli", num_shot=4)


def test_shots_are_the_head_of_train_and_state_the_instruction_once(data_dir):
    task = tasks.get_task("mini/v1:nli", num_shots=2)
    train = corpora.load("mini/nli", "train", data_dir=data_dir)
    test = corpora.load("mini/nli", "test", data_dir=data_dir)
    samples = tasks.load_samples(task, split="test", data_dir=data_dir, max_samples=3)
    assert [sample.gold for sample in samples] == [row["output"] for row in test[:3]]
    messages = samples[2].messages
    assert [message.role for message in messages] == ["user", "assistant"] * 2 + ["user"]
    assert [message.content for message in messages] == [
        train[0]["instruction"],
        train[0]["output"],
        "",
        train[1]["output"],
        "",
    ]
    assert [message.context for message in messages if message.role == "user"] == [
        train[0]["input"],
        train[1]["input"],
        test[2]["input"],
    ]
    assert samples[2].input == test[2]["input"]


def test_number_of_samples_and_shots_can_be_changed(data_dir):
    task = tasks.get_task("mini/v1:qa")
    test = corpora.load("mini/qa", "test", data_dir=data_dir)
    for everything in (None, -1):
        samples = tasks.load_samples(
            task, split="test", data_dir=data_dir, max_samples=everything, num_shots=1
        )
        assert len(samples) == len(test)
        assert len(samples[0].messages) == 3
    with pytest.raises(UserError, match="num_shots"):
        tasks.load_samples(task, split="test", data_dir=data_dir, num_shots=10**6)


def test_an_instruction_of_the_tasks_own_replaces_that_of_the_corpus(data_dir):
    task = tasks.get_task("mini/v1:qa", instruction="答えよ。")
    (sample,) = tasks.load_samples(task, split="test", data_dir=data_dir, max_samples=1)
    assert sample.messages[0].content == "答えよ。"


def test_the_data_is_identified(data_dir, tmp_path):
    task = tasks.get_task("mini/v1:qa")
    digests = corpora.info("mini/qa", data_dir)["sha256"]
    assert tasks.data_sha256(task, split="dev", data_dir=data_dir) == digests["dev"]


def test_a_users_file_is_a_task(tmp_path):
    path = tmp_path / "mine.jsonl"
    rows = [{"instruction": "足せ", "input": f"{n}+1", "output": str(n + 1)} for n in range(5)]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    task = tasks.get_task(f"jsonl:{path}", max_new_tokens=4, num_shots=2)
    samples = tasks.load_samples(task, split="test", data_dir=tmp_path)
    assert [sample.gold for sample in samples] == ["3", "4", "5"]
    assert [message.content for message in samples[0].messages] == ["足せ", "1", "", "2", ""]
    assert len(tasks.data_sha256(task, split="test", data_dir=tmp_path)) == 64


def test_a_users_file_with_a_mistake_names_the_line(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n{"instruction": "a"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="line 2"):
        tasks.load_samples(tasks.get_task(f"jsonl:{path}"), split="test", data_dir=tmp_path)
    with pytest.raises(UserError, match="no file"):
        tasks.load_samples(tasks.get_task("jsonl:nowhere"), split="test", data_dir=tmp_path)


def test_averages_name_what_is_missing():
    suite = tasks.get_suite("llm-jp-eval/v1.3.1")
    result = tasks.aggregate(
        suite, {"llm-jp-eval/v1.3.1:mawps": 0.5, "llm-jp-eval/v1.3.1:jemhopqa": 0.25}
    )
    assert result.categories == {"MR": 0.5, "QA": 0.25}
    assert (result.average_name, result.average) == ("AVR", 0.375)
    assert result.missing_categories == ("EL", "FA", "HE", "MC", "MT", "NLI", "RC")
    assert "llm-jp-eval/v1.3.1:jcommonsenseqa" in result.missing_tasks
    assert "llm-jp-eval/v1.3.1:jsts" not in result.missing_tasks
    assert tasks.aggregate(suite, {}).average is None


def _suite_of_categories(suite, scores):
    """The suite with one task for each category, and those tasks' scores."""
    members = tuple(
        dataclasses.replace(tasks.get_task("mini/v1:nli"), name=name, category=name)
        for name in suite.categories
    )
    return tasks.aggregate(dataclasses.replace(suite, tasks=members), scores)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("llm-jp-eval/v1.3.1", "aggregate_AVG_v1.3"),
        ("llm-jp-eval/v1.4.1", "aggregate_AVG_v1.4.1"),
    ],
)
def test_averages_are_the_published_ones(spec_dir, name, metric):
    lines = (spec_dir / "metric_cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if case["metric"] == metric]
    assert cases
    for case in cases:
        result = _suite_of_categories(tasks.get_suite(name), case["inputs"]["categories"])
        assert round(result.average, 4) == case["expected"]
        assert not result.missing_categories


def test_a_category_beside_the_average_is_not_missed():
    suite = tasks.get_suite("llm-jp-eval/v1.4.1")
    scores = dict.fromkeys((name for name in suite.categories if name != "SUM"), 0.5)
    assert _suite_of_categories(suite, scores).average == 0.5
    assert not _suite_of_categories(suite, scores).missing_tasks
    assert _suite_of_categories(suite, scores | {"SUM": 0.0}).average == 0.5


def test_old_versions_differ_in_what_scores_depend_on():
    task = tasks.get_task("llm-jp-eval/v1.0:jemhopqa")
    assert (task.template, task.extraction) == ("llm_jp_v1.0", "v1.0")
    assert "YES" not in task.instruction
    assert "hand-written" in task.unverified
    assert not tasks.get_task("llm-jp-eval/v1.3.1:jemhopqa").unverified


def test_the_majority_answer_of_train_is_the_floor(data_dir):
    task = tasks.get_task("mini/v1:nli")
    baseline = tasks.majority_baseline(task, data_dir, split="test")
    golds = [row["output"] for row in corpora.load("mini/nli", "test", data_dir=data_dir)]
    assert baseline.predictions == (baseline.answer,) * len(golds)
    assert 0.2 < golds.count(baseline.answer) / len(golds) < 0.45
