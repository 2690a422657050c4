"""From a task to its questions: shots, instructions, answer formats, a user's own file."""

from __future__ import annotations

import json

import pytest

from jaxllm import corpora, tasks
from jaxllm.errors import MissingData, UserError


def _shots(sample):
    """(input, answer) of the shots of a sample."""
    *shots, _ = sample.messages
    return [(q.context, a.content) for q, a in zip(shots[::2], shots[1::2], strict=True)]


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


def test_a_shot_seed_takes_other_shots_the_same_ones_every_time(data_dir):
    train = corpora.load("mini/nli", "train", data_dir=data_dir)
    rows = [(row["input"], row["output"]) for row in train]

    def shots_of(seed):
        task = tasks.get_task("mini/v1:nli", num_shots=3, shot_seed=seed)
        samples = tasks.load_samples(task, split="test", data_dir=data_dir, max_samples=2)
        assert _shots(samples[0]) == _shots(samples[1])
        return _shots(samples[0])

    assert shots_of(None) == rows[:3]
    assert shots_of(0) == shots_of(0)
    assert len({tuple(shots_of(seed)) for seed in (None, 0, 1)}) == 3
    assert all(shot in rows for shot in shots_of(1))
    # The order must not drift under a seed that stands in a result.
    assert [rows.index(shot) for shot in shots_of(1)] == [550, 2331, 3471]


@pytest.mark.parametrize("seed", [None, 5])
def test_train_is_not_asked_with_its_own_rows_as_shots(data_dir, seed):
    train = corpora.load("mini/qa", "train", data_dir=data_dir)
    task = tasks.get_task("mini/v1:qa", num_shots=4, shot_seed=seed)
    samples = tasks.load_samples(task, split="train", data_dir=data_dir)
    assert len(samples) == len(train) - 4
    shots = {pair[0] for pair in _shots(samples[0])}
    ids = {row["id"] for row in train if row["input"] in shots}
    asked = [sample.id for sample in samples]
    assert asked == [row["id"] for row in train if row["id"] in set(asked)]
    assert len(ids & set(asked)) == len(ids) - 4


def test_an_instruction_of_the_tasks_own_replaces_that_of_the_corpus(data_dir):
    task = tasks.get_task("mini/v1:qa", instruction="答えよ。")
    (sample,) = tasks.load_samples(task, split="test", data_dir=data_dir, max_samples=1)
    assert sample.messages[0].content == "答えよ。"


def test_an_answer_format_is_told_once_and_shown_by_the_shots(data_dir):
    task = tasks.get_task("mini/v1:nli", num_shots=2, extraction="answer_tags_jp")
    (sample,) = tasks.load_samples(task, split="test", data_dir=data_dir, max_samples=1)
    told = "<answer></answer>タグで囲んで回答してください"
    assert [message.answer_format for message in sample.messages] == [told, "", "", "", ""]
    train = corpora.load("mini/nli", "train", data_dir=data_dir)
    assert [answer for _, answer in _shots(sample)] == [
        f"<answer>{row['output']}</answer>" for row in train[:2]
    ]
    assert "<answer>" not in sample.gold
    (plain,) = tasks.load_samples(
        tasks.get_task("mini/v1:nli", num_shots=2, extraction="answer_tags"),
        split="test",
        data_dir=data_dir,
        max_samples=1,
    )
    assert not any(message.answer_format for message in plain.messages)
    assert [answer for _, answer in _shots(plain)] == [row["output"] for row in train[:2]]


def test_the_data_is_identified(data_dir):
    task = tasks.get_task("mini/v1:qa")
    digests = corpora.info("mini/qa", data_dir)["sha256"]
    assert tasks.data_sha256(task, split="dev", data_dir=data_dir) == digests["dev"]
    with pytest.raises(UserError, match="no split 'validation'"):
        tasks.data_sha256(task, split="validation", data_dir=data_dir)


def test_a_member_whose_data_set_this_program_does_not_read_is_missing_data(data_dir):
    task = tasks.get_task("llm-jp-eval/v2.1:hle")
    with pytest.raises(MissingData, match="does not read the data set hle"):
        tasks.load_samples(task, split="test", data_dir=data_dir)
    with pytest.raises(MissingData, match="does not read the data set hle"):
        tasks.data_sha256(task, split="test", data_dir=data_dir)


def test_an_unknown_extraction_is_found_out_before_anything_is_asked(data_dir):
    task = tasks.get_task("mini/v1:nli", extraction="answertags")
    with pytest.raises(UserError, match="'answertags' is unknown"):
        tasks.load_samples(task, split="test", data_dir=data_dir)


def _own_file(tmp_path, num_rows=5):
    path = tmp_path / "mine.jsonl"
    rows = [
        {"instruction": "足せ", "input": f"{n}+1", "output": str(n + 1)} for n in range(num_rows)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


def test_a_users_file_is_a_task(tmp_path):
    task = tasks.get_task(f"jsonl:{_own_file(tmp_path)}", max_new_tokens=4, num_shots=2)
    samples = tasks.load_samples(task, split="test", data_dir=tmp_path)
    assert [sample.gold for sample in samples] == ["3", "4", "5"]
    assert [message.content for message in samples[0].messages] == ["足せ", "1", "", "2", ""]
    assert len(tasks.data_sha256(task, split="test", data_dir=tmp_path)) == 64


def test_shots_in_a_seeded_order_are_not_asked_either(tmp_path):
    path = _own_file(tmp_path, num_rows=9)
    task = tasks.get_task(f"jsonl:{path}", num_shots=3, shot_seed=7)
    samples = tasks.load_samples(task, split="test", data_dir=tmp_path)
    golds = [int(sample.gold) for sample in samples]
    shots = [int(answer) for _, answer in _shots(samples[0])]
    assert golds == sorted(golds)
    assert shots != [1, 2, 3]
    assert sorted(golds + shots) == list(range(1, 10))


def test_a_users_file_with_a_mistake_names_the_line(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n{"instruction": "a"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="line 2"):
        tasks.load_samples(tasks.get_task(f"jsonl:{path}"), split="test", data_dir=tmp_path)
    with pytest.raises(UserError, match="no file"):
        tasks.load_samples(tasks.get_task("jsonl:nowhere"), split="test", data_dir=tmp_path)


def test_the_majority_answer_of_train_is_the_floor(data_dir):
    task = tasks.get_task("mini/v1:nli")
    baseline = tasks.majority_baseline(task, data_dir, split="test")
    golds = [row["output"] for row in corpora.load("mini/nli", "test", data_dir=data_dir)]
    assert baseline.predictions == (baseline.answer,) * len(golds)
    assert 0.2 < golds.count(baseline.answer) / len(golds) < 0.45
