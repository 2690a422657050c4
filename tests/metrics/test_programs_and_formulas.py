"""Metrics that have another process read the answers: pylint and math-verify."""

from __future__ import annotations

import pytest

from jaxllm.metrics import get_metric
from jaxllm.metrics import mathematical_equivalence as module


def test_pylint_finds_errors_and_nothing_less():
    answers = {
        "def f(x):\n    return x + 1\n": 1,
        "import os, sys\nX=1;Y = 2": 1,  # bad style is no error
        "import numpy as np\nprint(np.zeros(3))\n": 1,
        "": 1,
        "def f(x:\n": 0,
        "print(undefined)\n": 0,
        "[1, 2].appendd(3)\n": 0,
        "答えは次の通りです。": 0,
        "(" * 1000: 0,
        "x = 1" + " + 1" * 3000: 0,  # pylint itself fails on it
        "\ud800": 0,
        "\0": 0,
    }
    scores = get_metric("pylint_check")(list(answers), [""] * len(answers)).per_sample
    assert dict(zip(answers, scores, strict=True)) == answers


def test_pylint_reads_no_configuration_of_the_user(tmp_path, monkeypatch):
    (tmp_path / "pylintrc").write_text("[MESSAGES CONTROL]\ndisable=all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYLINTRC", str(tmp_path / "pylintrc"))
    assert get_metric("pylint_check")(["print(undefined)\n"], [""]).mean == 0


@pytest.mark.parametrize(
    "prediction, reference, score",
    [
        (r"\boxed{\frac{1}{2}}", "0.5", 1),
        (r"よって $x = \sqrt{8}$ です", r"2\sqrt{2}", 1),
        ("１２", "12", 1),
        ("1,200", "1200", 1),
        ("12個", "12", 1),
        ("x=3", "3", 1),
        ("2x+1", "1+2x", 1),
        (r"\{1,2\}", r"\{2,1\}", 1),
        ("はい", "はい", 1),
        ("3", "4", 0),
        ("2x+1", "2", 0),
        ("", "3", 0),
        ("", "", 0),
        ("わかりません", "3", 0),
    ],
)
def test_formulas_are_compared_as_mathematics(prediction, reference, score):
    assert get_metric("mathematical_equivalence")([prediction], [reference]).mean == score


def test_a_formula_that_never_ends_costs_its_time_and_no_other_score(monkeypatch):
    monkeypatch.setattr(module, "_SECONDS", 1.0)
    predictions = ["0.5", "9^{9^{9^9}}", r"\frac{" * 2000, "7", "3"]
    references = [r"\frac12", "3", "1", "7.0", "4"]
    metric = get_metric("mathematical_equivalence")
    assert metric(predictions, references).per_sample == (1, 0, 0, 1, 0)
