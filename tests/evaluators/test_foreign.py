"""Outputs made elsewhere as results of ours."""

from __future__ import annotations

import dataclasses
import json

import pytest
from etils import epath

from jaxllm import corpora
from jaxllm.errors import UserError
from jaxllm.evaluators.foreign import score_foreign_run
from jaxllm.evaluators.generate_settings import GenerateSettings
from jaxllm.reporting.llm_jp_eval_outputs import ForeignAnswer, ForeignDataset, ForeignRun
from jaxllm.reporting.results import read_result, read_samples
from jaxllm.tasks import data_sha256, get_task, load_samples

_NLI, _QA = "mini/v1:nli", "mini/v1:qa"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    corpora.prepare(["mini/nli", "mini/qa"], data_dir=folder)
    return folder


def _run(data_dir, outputs, *, name="mini_nli", task=_NLI, **changes):
    """A run that answers the first samples of the dev split with `outputs`."""
    samples = load_samples(get_task(task), split="dev", data_dir=data_dir)
    answers = tuple(
        ForeignAnswer(input=sample.input, gold=sample.gold, output=output, prompt="?")
        for sample, output in zip(samples, outputs, strict=False)
    )
    dataset = ForeignDataset(answers=answers, num_shots=2, max_new_tokens=9)
    run = {"model": "org/x", "source": epath.Path("x.json"), "sha256": "cd"}
    return samples, ForeignRun(**(run | {"datasets": {name: dataset}} | changes))


def _score(run, folder, data_dir, **settings):
    settings = GenerateSettings(**({"task": _NLI, "split": "dev"} | settings))
    summary = score_foreign_run(
        settings, run, data_dir=data_dir, config={"seed": 1}, folder=epath.Path(folder)
    )
    return summary, read_result(folder)


def test_outputs_are_scored_as_ours(data_dir, tmp_path):
    samples, run = _run(data_dir, ["x"] * 6)
    right = f"{samples[0].gold}\n\n次の問い"
    _, run = _run(data_dir, [right, *["x"] * 5])
    summary, result = _score(run, tmp_path, data_dir)
    assert summary == {"exact_match": pytest.approx(1 / 6)}
    record, entry = result.record, result.tasks[_NLI]
    assert record["model"] == {"name": "org/x", "source": "x.json", "outputs_sha256": "cd"}
    assert record["config"] == {"seed": 1}
    # The questions are the corpus's, so the samples have its ids and compare with ours.
    assert entry["data_sha256"] == data_sha256(get_task(_NLI), split="dev", data_dir=data_dir)
    lines = list(read_samples(result, _NLI))
    assert [line["id"] for line in lines] == [sample.id for sample in samples[:6]]
    assert lines[0]["output"] == right
    assert lines[0]["prediction"] == lines[0]["gold"] == samples[0].gold
    assert (entry["num_shots"], entry["max_new_tokens"]) == (2, 9)
    assert {entry[name] for name in ("template", "bos", "instruction", "stop")} == {None}


def test_only_the_first_samples_count(data_dir, tmp_path):
    _, run = _run(data_dir, ["x"] * 8)
    _, result = _score(run, tmp_path, data_dir, max_samples=3)
    assert result.tasks[_NLI]["num_samples"] == 3
    _, result = _score(run, tmp_path, data_dir, max_samples=-1)
    assert result.tasks[_NLI]["num_samples"] == 8


def test_other_questions_are_scored_and_not_taken_for_ours(data_dir, tmp_path, capsys):
    _, run = _run(data_dir, ["x"] * 3)
    first, *rest = run.datasets["mini_nli"].answers
    changed = dataclasses.replace(first, input="問い")
    run.datasets["mini_nli"] = ForeignDataset(answers=(changed, *rest))
    # mawps is not prepared here, so nothing can be said of its questions.
    run.datasets["mawps"] = run.datasets["mini_nli"]
    mawps = "llm-jp-eval/v1.3.1:mawps"
    _, result = _score(run, tmp_path, data_dir, task="", tasks=(_NLI, mawps))
    for task in (_NLI, mawps):
        assert result.tasks[task]["data_sha256"] == ""
        assert [line["id"] for line in read_samples(result, task)] == ["0", "1", "2"]
    told = capsys.readouterr().err
    for corpus in ("mini/nli", "mawps"):
        assert f"not those of {corpus} as it is prepared here" in told


def test_a_suite_lacks_what_the_run_was_not_asked(data_dir, tmp_path, capsys):
    _, run = _run(data_dir, ["x"] * 3)
    run.datasets["unheard_of"] = run.datasets["mini_nli"]
    summary, result = _score(run, tmp_path, data_dir, task="", suite="mini/v1")
    assert list(summary) == ["AVR(present)", "NLI"]
    missing = result.tasks[_QA]["metrics"][result.tasks[_QA]["headline"]]["missing"]
    assert missing == "x.json has no outputs of mini_qa"
    assert "no task asks it: unheard_of" in capsys.readouterr().err


def test_a_run_that_fits_no_task_is_told(data_dir, tmp_path):
    _, run = _run(data_dir, ["x"], name="jamp")
    with pytest.raises(UserError, match=r"x\.json has no outputs of mini_nli; it has jamp"):
        _score(run, tmp_path, data_dir)
    with pytest.raises(UserError, match=r"outputs of jamp, and none of those is in mini/v1"):
        _score(run, tmp_path, data_dir, task="", suite="mini/v1")


def test_a_file_of_ones_own_is_found_by_its_name(data_dir, tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"instruction": "答えよ", "input": "1+1", "output": "2"}))
    answer = ForeignAnswer(input="1+1", gold="2", output="2", prompt="")
    run = ForeignRun(
        model="x",
        source=epath.Path("x.json"),
        sha256="",
        datasets={"mine": ForeignDataset(answers=(answer,))},
    )
    summary, result = _score(run, tmp_path / "out", data_dir, task=f"jsonl:{path}")
    assert summary == {"exact_match": 1.0}
    assert [line["id"] for line in read_samples(result, f"jsonl:{path}")] == ["1"]
