from __future__ import annotations

import json

import pytest
from etils import epath

from jaxllm.errors import UserError
from jaxllm.reporting import results
from jaxllm.reporting.results import (
    DamagedResult,
    find_results,
    read_result,
    read_samples,
    write_result,
)


def test_what_is_written_is_read_back(make_result):
    written = make_result("sft", {"NLI": [1, 0, 1]}, step=100)
    result = read_result(written.folder)
    assert result == written
    assert result.step == 100
    assert result.categories["NLI"]["mean"] == pytest.approx(2 / 3)
    assert [sample["id"] for sample in read_samples(result, "mini/v1:nli")] == [
        "NLI-0",
        "NLI-1",
        "NLI-2",
    ]
    assert (result.folder / "samples" / "mini_v1_nli.jsonl").exists()


def test_timings_lie_in_a_file_of_their_own(make_result, tmp_path):
    record = make_result("base", {"NLI": [1]}).record
    lines = {"mini/v1:nli": list(read_samples(read_result(tmp_path / "base"), "mini/v1:nli"))}
    slow = write_result(tmp_path / "slow", record, lines, timings={"seconds": 9.0})
    fast = write_result(tmp_path / "fast", record, lines, timings={"seconds": 1.0})
    assert slow.record == fast.record
    assert json.loads((fast.folder / "timings.json").read_text()) == {"seconds": 1.0}


def test_a_second_result_replaces_the_first_with_its_samples(make_result):
    make_result("sft", {"NLI": [1, 0], "QA": [1]}, folder="a")
    result = make_result("sft", {"NLI": [0]}, folder="a")
    assert [path.name for path in (result.folder / "samples").iterdir()] == ["mini_v1_nli.jsonl"]
    assert list(result.tasks) == ["mini/v1:nli"]


@pytest.mark.parametrize("files_written", [0, 1, 2])  # two files of samples, then result.json
def test_a_kill_while_writing_never_leaves_a_readable_half(make_result, monkeypatch, files_written):
    folder = make_result("sft", {"NLI": [1, 0], "QA": [1]}, folder="a").folder
    write, written = results.write_whole_file, []

    def killed(path, text):
        if len(written) == files_written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, text)

    monkeypatch.setattr(results, "write_whole_file", killed)
    with pytest.raises(KeyboardInterrupt):
        make_result("sft", {"NLI": [0, 0], "QA": [0]}, folder="a")
    with pytest.raises(DamagedResult, match="did not finish"):
        read_result(folder)


def test_tasks_whose_files_would_collide_are_refused(tmp_path):
    with pytest.raises(ValueError, match="share one samples file"):
        write_result(tmp_path, {}, {"a/b": [], "a:b": []})


def _change_record(**changes):
    def damage(folder: epath.Path) -> None:
        record = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps({**record, **changes}))

    return damage


def _rewrite_samples(change):
    def damage(folder: epath.Path) -> None:
        path = folder / "samples" / "mini_v1_nli.jsonl"
        path.write_text(change(path.read_text()))

    return damage


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda folder: (folder / "result.json").write_text('{"schema"'), "not JSON"),
        (lambda folder: (folder / "result.json").unlink(), "did not finish"),
        (_change_record(schema="other/1"), "not of the schema"),
        (_change_record(tasks=[]), "'list' object"),
        (_change_record(tasks={"x": {}}), "no field 'category'"),
        (_change_record(model={}), "no field 'name'"),
        (_change_record(run={"kind": "sft", "step": "last"}), "run.step is 'last'"),
        (_change_record(categories={"NLI": {"mean": "high"}}), "'high', not a score"),
        (_change_record(categories={"NLI": {"mean": 1, "interval": [0]}}), "not [low, high]"),
        (lambda folder: (folder / "samples" / "mini_v1_nli.jsonl").unlink(), "cannot be read"),
        (_rewrite_samples(lambda text: text[:-20]), "1 of 2 samples"),
        (_rewrite_samples(lambda text: text + text), "4 of 2 samples"),
        (_rewrite_samples(lambda text: text.split("\n")[0] + "\n{\n"), "line 2: not JSON"),
        (_rewrite_samples(lambda text: "3\n3\n"), "line 1: no 'id' as it should be"),
        (_rewrite_samples(lambda text: text.replace("NLI-1", "NLI-0")), "stands there twice"),
        (_rewrite_samples(lambda text: text.replace(": 1.0}", ": 0.5}")), "result.json says 0.5"),
    ],
)
def test_damage_is_found_and_named(make_result, damage, reason):
    folder = make_result("sft", {"NLI": [1, 0]}).folder
    damage(folder)
    with pytest.raises(DamagedResult) as error:
        read_result(folder)
    assert str(folder) in str(error.value)
    assert reason in str(error.value)


def test_a_search_goes_below_folders_and_names_what_it_leaves_out(make_result, tmp_path):
    for step in (100, 200):
        make_result("sft", {"NLI": [1]}, folder=f"run/evals/mini/{step:06d}", step=step)
    make_result("base", {"NLI": [0]}, folder="run/checkpoints/base")  # weights: not searched
    (tmp_path / "run" / "evals" / "mini" / "000300" / "samples").mkdir(parents=True)
    found = find_results([tmp_path / "run", tmp_path / "run" / "evals" / "mini" / "000100"])
    assert [result.step for result in found.results] == [100, 200]
    assert len(found.damaged) == 1
    assert "000300" in found.damaged[0]


def test_a_folder_that_does_not_exist_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        find_results([tmp_path / "absent"])


def test_an_evaluation_that_was_killed_is_told(tmp_path):
    (tmp_path / "evals/mini/final/journal").mkdir(parents=True)
    found = find_results([tmp_path])
    assert found.results == ()
    assert found.damaged == (
        f"{tmp_path}/evals/mini/final: no result.json: the evaluation did not finish",
    )


def test_half_a_character_is_written_and_read(make_result):
    result = make_result("sft", {"NLI": [1]}, text="猫\ud83d")
    (sample,) = read_samples(result, "mini/v1:nli")
    assert sample["output"] == "猫\ud83d"
