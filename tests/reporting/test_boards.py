from __future__ import annotations

import pytest

from jaxllm.reporting.boards import (
    BASE,
    CONTROL,
    MAJORITY,
    TUNED,
    differing_conditions,
    make_boards,
    role_of,
    steps_of,
)


@pytest.mark.parametrize(
    "kind, step, blank, role",
    [
        ("majority", None, False, MAJORITY),
        ("control", 100, False, CONTROL),
        ("sft", 100, True, CONTROL),
        ("base", None, False, BASE),
        (None, None, False, BASE),
        ("sft", 0, False, BASE),
        ("sft", 100, False, TUNED),
        (None, 100, False, TUNED),
        ("dpo", None, False, TUNED),
    ],
)
def test_role_comes_from_kind_inputs_and_step(make_result, kind, step, blank, role):
    result = make_result(kind, {"NLI": [1]}, step=step, changes={"blank_inputs": blank})
    assert role_of(result) == role


def test_rows_are_the_last_steps_in_the_order_of_their_roles(make_result):
    results = [
        make_result("sft", {"NLI": [1]}, folder=f"run/evals/mini/{step}", step=step)
        for step in (200, 0, 100)
    ]
    results += [make_result(kind, {"NLI": [0]}) for kind in ("control", "majority")]
    (board,) = make_boards(results)
    assert [role_of(run) for run in board.runs] == [MAJORITY, CONTROL, BASE, TUNED]
    assert [run.step for run in board.runs] == [None, None, 0, 200]
    assert [result.step for result in board.earlier] == [100]
    assert [result.step for result in steps_of(board, board.runs[-1])] == [100, 200]


def test_results_of_different_conditions_never_share_a_table(make_result):
    results = [
        make_result("base", {"NLI": [1]}, folder="a"),
        make_result("base", {"NLI": [1]}, folder="b", changes={"suite": "mini/v2"}),
        make_result("base", {"NLI": [1]}, folder="c", changes={"split": "dev"}),
        make_result("base", {"NLI": [1]}, folder="d", suite=None),
    ]
    boards = make_boards(results)
    assert [len(board.runs) for board in boards] == [1, 1, 1, 1]
    assert len({board.title for board in boards}) == 4


def test_tasks_without_a_suite_are_columns_of_their_own(make_result):
    (board,) = make_boards([make_result("base", {"NLI": [1], "QA": [0]}, suite=None)])
    assert board.average is None
    assert board.categories == ("mini/v1:nli", "mini/v1:qa")


def test_labels_are_unique(make_result):
    results = [make_result("base", {"NLI": [1]}, folder=f"{name}/evals/mini") for name in "ab"]
    (board,) = make_boards(results)
    assert {board.label(run) for run in board.runs} == {
        "small, before tuning (a/evals/mini)",
        "small, before tuning (b/evals/mini)",
    }


def test_a_task_measured_in_two_ways_is_told(make_result):
    first = make_result("base", {"NLI": [1, 0]})
    second = make_result("sft", {"NLI": [1, 0, 1]}, step=5)
    second.tasks["mini/v1:nli"]["template"] = "chatml"
    (sentence,) = differing_conditions(make_boards([first, second])[0])
    assert sentence == ("mini/v1:nli: the runs differ in template, number of samples (2 to 3)")
    assert not differing_conditions(make_boards([first])[0])
