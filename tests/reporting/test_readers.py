from __future__ import annotations

import json

import pytest

from jaxllm.errors import UserError
from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.pairing import pair_up
from jaxllm.reporting.readers import read_material
from jaxllm.reporting.statistics import mean_interval
from jaxllm.reporting.views import VIEWS, ViewOptions

_DATE = "2026-01-02T03-04-05.678"


def _lm_eval(folder, right, *, name="a/small", **changes):
    """What `lm_eval --log_samples` leaves: a task with a filter, a group, and a perplexity."""
    folder.mkdir()
    accuracy = sum(right) / len(right)
    data = {
        "results": {
            "jnli": {
                "alias": "jnli",
                "acc,get-answer": accuracy,
                "acc_stderr,get-answer": 0.1,
            },
            "group": {"acc,none": 0.5},
            "wiki": {"word_perplexity,none": 12.0, "word_perplexity_stderr,none": "N/A"},
        },
        "configs": {
            "jnli": {"metric_list": [{"metric": "acc"}]},
            "wiki": {"metric_list": [{"metric": "word_perplexity"}]},
        },
        "higher_is_better": {"jnli": {"acc": True}, "wiki": {"word_perplexity": False}},
        "n-shot": {"jnli": 3},
        "n-samples": {"jnli": {"original": 9, "effective": len(right)}},
        "task_hashes": {"jnli": "f00d"},
        "model_name": name,
        "config": {"model_num_parameters": 1000},
        **changes,
    }
    (folder / f"results_{_DATE}.json").write_text(json.dumps(data))
    lines = [
        {
            "doc_id": index,
            "filter": filter_name,
            "target": "1",
            "arguments": {"gen_args_0": {"arg_0": "問い"}},
            "resps": [["1\n"]],
            "filtered_resps": ["1"],
            "acc": float(value) if filter_name == "get-answer" else 0.0,
        }
        for index, value in enumerate(right)
        for filter_name in ("none", "get-answer")
    ]
    (folder / f"samples_jnli_{_DATE}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_results_of_the_harness_are_read_with_their_samples(tmp_path):
    _lm_eval(tmp_path / "a", [1, 0, 1, 1])
    _lm_eval(tmp_path / "b", [1, 1, 1, 1], name="b/large")
    material = read_material([tmp_path])
    first, second = material.results
    (task,) = first.tasks
    assert first.record["model"] == {"name": "small", "source": "a/small", "num_params": 1000}
    assert first.tasks[task]["num_shots"] == 3
    expected = mean_interval([1, 0, 1, 1])
    assert first.categories["jnli"]["mean"] == 0.75
    assert first.categories["jnli"]["interval"] == [expected.low, expected.high]
    assert pair_up(first, second, "jnli").after_N.tolist() == [1, 1, 1, 1]
    assert len(make_boards(material.results)) == 1
    assert any("group is a group" in reason for reason in material.left_out)
    assert any("wiki has no metric" in reason for reason in material.left_out)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda path: path.write_text('{"results": {'), "cannot be read as JSON"),
        (lambda path: path.write_text("[]"), "not as lm-evaluation-harness"),
        (lambda path: path.write_text('{"results": {"a": {}}}'), "not as lm-evaluation-harness"),
        (lambda path: _cut(path.with_name(f"samples_jnli_{_DATE}.jsonl")), "3 of 4 samples"),
        (lambda path: _garble(path.with_name(f"samples_jnli_{_DATE}.jsonl")), "JSON"),
    ],
)
def test_damage_in_files_of_the_harness_is_named(tmp_path, damage, reason):
    _lm_eval(tmp_path / "whole", [1, 1])
    damage(_lm_eval(tmp_path / "bad", [1, 0, 1, 1]) / f"results_{_DATE}.json")
    material = read_material([tmp_path])
    assert len(material.results) == 1
    assert reason in " ".join(material.left_out)


def _cut(path):
    path.write_text("\n".join(path.read_text().split("\n")[:-2]))


def _garble(path):
    path.write_text(path.read_text()[:-9])


def test_scores_in_files_of_llm_jp_eval_and_llm_jp_judge(tmp_path):
    data = {
        "scores": {"AVG": "0.4000", "NLI": "0.5000", "jnli_exact_match": "0.5"},
        "outputs": {"jnli": []},
        "config": {"metainfo": {"version": "1.3.1", "basemodel_name": "m", "num_few_shots": 4}},
    }
    (tmp_path / "m_2026.json").write_text(json.dumps(data))
    (tmp_path / "config.json").write_text('{"scores": "of another program"}')
    row = {"generation_model": "m", "evaluation_model": "gpt-4", "mt_bench_ja": 6.4, "x": None}
    (tmp_path / "score_table.json").write_text(json.dumps([row]))
    material = read_material([tmp_path])
    (grid,) = VIEWS["leaderboard"](material, ViewOptions())
    assert grid.title == "llm-jp-eval/v1.3.1 · test split · 4-shot"
    assert grid.columns == ("model", "rank", "AVR", "NLI", "mt_bench_ja")
    assert grid.rows[0] == ("m", "1?", "0.400", "0.500", "6.40")
    assert material.left_out == ()


@pytest.mark.parametrize(
    "name, text, reason",
    [
        ("a.json", '{"scores": {"AVG": "nan"}, "outputs": {}}', "scores.AVG is 'nan'"),
        ("a.json", '{"scores": {"x_y": 1}, "outputs": {}}', "neither AVG nor a category"),
        ("a.json", '{"scores"', "cannot be read as JSON"),
        ("score_table.json", "{}", "no list of rows"),
        ("score_table.json", '[{"a": 1}]', "no generation_model"),
        ("a.yaml", "models: 3", "holds no cards"),
    ],
)
def test_damaged_files_of_others_are_left_out_by_name(make_result, tmp_path, name, text, reason):
    folder = make_result("base", {"A": [1]}, folder="r/base").folder
    (tmp_path / name).write_text(text)
    material = read_material([folder, tmp_path / name])
    assert len(material.results) == 1
    assert reason in material.left_out[0]
    with pytest.raises(UserError, match="no readable result"):
        read_material([tmp_path / name])


def test_files_inside_a_result_of_ours_are_not_read_twice(make_result, tmp_path):
    folder = make_result("base", {"A": [1]}).folder
    text = '{"scores": {"AVG": 1, "NLI": 1}, "outputs": {"a": []}}'
    (folder / "llm-jp-eval-v1.json").write_text(text)
    assert len(read_material([tmp_path]).results) == 1


def test_a_place_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_material([tmp_path / "nowhere"])
