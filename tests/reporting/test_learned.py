from __future__ import annotations

import pytest

from jaxllm.reporting.boards import BASE, CONTROL, MAJORITY, TUNED, make_boards
from jaxllm.reporting.browsing import browsable_samples
from jaxllm.reporting.learned import judge, reference_for
from jaxllm.reporting.pairing import average_difference, category_differences, task_difference
from jaxllm.reporting.results import Result, read_samples, write_result
from jaxllm.reporting.statistics import mean_of, paired_difference

_HALF, _NONE, _ALL = [1, 0] * 20, [0] * 40, [1] * 40


def _verdicts(make_result, tuned, **others):
    results = [make_result(kind, scores) for kind, scores in others.items()]
    results.append(make_result("sft", tuned, step=10))
    (board,) = make_boards(results)
    (run,) = board.having(TUNED)
    return {verdict.category: verdict for verdict in judge(board, run)}


def test_learned_is_above_majority_and_above_control(make_result):
    verdicts = _verdicts(
        make_result,
        tuned={"A": _ALL, "B": _ALL, "C": _HALF, "D": _ALL},
        majority={"A": _HALF, "B": _ALL, "C": _NONE, "D": _HALF},
        control={"A": _HALF, "B": _HALF, "C": _HALF, "D": _NONE},
        base={"A": _HALF, "B": _ALL, "C": _ALL, "D": _ALL},
    )
    assert {name: verdict.learned for name, verdict in verdicts.items()} == {
        "A": True,
        "B": False,
        "C": False,
        "D": True,
    }
    assert verdicts["A"].sentence == (
        "Above the majority answer and the blanked-input control; better than before tuning."
    )
    assert verdicts["B"].sentence.startswith("Not clearly above the majority answer;")
    assert verdicts["C"].sentence == (
        "Not clearly above the blanked-input control; worse than before tuning."
    )
    assert verdicts["D"].sentence.endswith("no clear change from before tuning.")


def test_a_difference_that_may_be_chance_is_not_learned(make_result):
    slightly = [1] * 22 + [0] * 18
    verdicts = _verdicts(
        make_result, tuned={"A": slightly}, majority={"A": _HALF}, control={"A": _HALF}
    )
    assert verdicts["A"].gains[MAJORITY].mean > 0
    assert verdicts["A"].learned is False


def test_without_a_control_nothing_can_be_said(make_result):
    verdicts = _verdicts(make_result, tuned={"A": _ALL}, majority={"A": _NONE})
    assert verdicts["A"].learned is None
    assert verdicts["A"].sentence == (
        "Cannot be said without the blanked-input control on the same samples."
    )


def test_differences_are_paired_by_sample_id_over_what_both_have(make_result):
    before = make_result("base", {"A": [0, 1, 0, 1], "B": [0, 0]})
    after = make_result("sft", {"A": [1, 1, 1], "B": [1, 0]}, step=10)
    differences = category_differences(before, after)
    assert differences["A"] == paired_difference([0, 1, 0], [1, 1, 1])
    assert average_difference(before, after) == mean_of(list(differences.values()))


@pytest.mark.parametrize("name, value", [("data_sha256", "other"), ("headline", "char_f1")])
def test_other_data_or_metrics_are_not_compared(make_result, name, value):
    before, after = make_result("base", {"A": _ALL}), make_result("sft", {"A": _ALL}, step=1)
    assert task_difference(before, after, "mini/v1:a") is not None
    before.tasks["mini/v1:a"][name] = value
    assert task_difference(before, after, "mini/v1:a") is None
    assert average_difference(before, after) is None


def test_tasks_that_neither_was_scored_on_hinder_no_comparison(make_result):
    scores = {"A": [1, 0, 1], "B": None}
    before, after = (make_result(kind, scores, folder=kind) for kind in ("base", "sft"))
    for result in (before, after):  # a second task of a scored category
        result.tasks["mini/v1:b"]["category"] = "A"
        result.record["average"]["missing"] = []
    difference = average_difference(before, after)
    assert difference.mean == 0
    only_after = make_result("sft", {"A": [1, 0, 1], "B": [1]}, folder="more", step=1)
    only_after.tasks["mini/v1:b"]["category"] = "A"
    assert average_difference(before, only_after) is None


def test_a_run_is_held_against_its_own_reference(make_result):
    place = {"run": {"kind": "control", "step": None, "workdir": "here"}}
    elsewhere = make_result("control", {"A": _ALL}, folder="elsewhere")
    own = make_result("control", {"A": _ALL}, folder="own", changes=place)
    here = {"run": {"kind": "sft", "step": 1, "workdir": "here"}}
    tuned = make_result("sft", {"A": _ALL}, changes=here)
    (board,) = make_boards([elsewhere, own, tuned])
    assert reference_for(board, tuned, CONTROL) is own
    assert reference_for(board, tuned, BASE) is None


def test_scores_of_0_to_100_are_compared_and_shown_as_shares(make_result):
    def of_100(kind: str, percent: list[float]) -> Result:
        shares = make_result(kind, {"MT": [score / 100 for score in percent]}, suite=None)
        record, (task,) = shares.record, shares.tasks
        (measured,) = record["tasks"][task]["metrics"].values()
        measured |= {"mean": 100 * measured["mean"], "maximum": 100.0, "interval": [0.0, 90.0]}
        samples = [
            {**sample, "scores": {"exact_match": 100 * sample["scores"]["exact_match"]}}
            for sample in read_samples(shares, task)
        ]
        return write_result(shares.folder, record, {task: samples})

    before, after = of_100("base", [20.0, 40.0, 30.0]), of_100("sft", [40.0, 60.0, 80.0])
    (task,) = after.tasks
    assert after.categories[task] == {"mean": pytest.approx(0.6), "interval": [0.0, 0.9]}
    difference = task_difference(before, after, task)
    expected = paired_difference([0.2, 0.4, 0.3], [0.4, 0.6, 0.8])
    assert difference.mean == pytest.approx(expected.mean)
    assert difference.low == pytest.approx(expected.low)
    (board,) = make_boards([before, after])
    assert browsable_samples(board)["scores-1"][0][0] == pytest.approx(0.4)
