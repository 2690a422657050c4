from __future__ import annotations

import itertools
import json
import random

import pytest
from rich.console import Console

from jaxllm.annotation.summary import summarise
from jaxllm.annotation.table import render
from jaxllm.errors import UserError
from jaxllm.reporting.agreement import cohen_kappa
from jaxllm.reporting.statistics import mean_interval


def _rating(question, annotator, model, **ratings):
    return {
        "kind": "rating",
        "question_id": question,
        "turn": ratings.pop("turn", 1),
        "annotator": annotator,
        "model": model,
        "ratings": ratings,
        "comment": "",
        "opened_at": "2026-01-01T00:00:00.000+00:00",
        "rated_at": "2026-01-01T00:00:30.000+00:00",
    }


def _choice(question, annotator, model_a, model_b, overall, turn=1):
    record = _rating(question, annotator, "", overall=overall, turn=turn)
    del record["model"]
    return record | {"kind": "pairwise", "model_a": model_a, "model_b": model_b}


def test_the_mean_is_over_questions_and_its_interval_within_the_scale():
    records = [
        _rating("q0", "aiko", "sft", overall=5),
        _rating("q0", "ben", "sft", overall=4),
        _rating("q0", "ben", "sft", overall=3, turn=2),
        _rating("q1", "aiko", "sft", overall=2),
        _rating("q2", "aiko", "sft", overall=None),
        *(_rating(f"q{n}", "aiko", "base", overall=1) for n in range(8)),
    ]
    models = summarise(records)["axes"]["overall"]["models"]
    sft = models["sft"]
    assert sft["mean"] == pytest.approx((4 + 2) / 2)
    assert (sft["num_questions"], sft["num_ratings"], sft["num_cannot_judge"]) == (2, 4, 1)
    expected = mean_interval([3 / 4, 1 / 4])
    assert (sft["low"], sft["high"]) == pytest.approx((1 + 4 * expected.low, 1 + 4 * expected.high))
    # Ones alone are the scale's low end and not full marks.
    assert models["base"]["mean"] == models["base"]["low"] == 1
    assert 1 < models["base"]["high"] < 3


def test_what_nobody_could_judge_has_no_mean():
    (axis,) = summarise([_rating("q0", "aiko", "sft", fluency=None)])["axes"].values()
    assert axis["models"]["sft"]["mean"] is None
    assert axis["agreement"]["krippendorff_alpha"] is None


def test_agreement_is_of_the_answers_that_two_or_more_have_rated():
    draw = random.Random(0)
    aiko = [draw.randint(1, 5) for _ in range(30)]
    ben = [min(5, max(1, score + draw.choice((-1, 0, 0, 1)))) for score in aiko]
    records = [
        _rating(f"q{n}", name, "sft", overall=score)
        for name, scores in (("aiko", aiko), ("ben", ben))
        for n, score in enumerate(scores)
    ]
    records += [_rating("q99", "aiko", "sft", overall=1), _rating("q0", "chika", "sft", overall=3)]
    agreement = summarise(records)["axes"]["overall"]["agreement"]
    assert agreement["num_shared"] == 30
    assert agreement["level"] == "ordinal"
    assert 0.6 < agreement["krippendorff_alpha"] < 1
    pairs = {tuple(pair["annotators"]): pair for pair in agreement["pairs"]}
    assert list(pairs) == [("aiko", "ben"), ("aiko", "chika"), ("ben", "chika")]
    both = pairs["aiko", "ben"]
    assert both["num_shared"] == 30
    assert both["cohen_kappa"] == cohen_kappa(aiko, ben, weights="quadratic")
    assert both["equal"] == pytest.approx(
        sum(one == other for one, other in zip(aiko, ben, strict=True)) / 30
    )


def test_win_rates_count_a_tie_as_half_whichever_side_it_stood_on():
    records = [
        _choice("q0", "aiko", "sft", "base", "a"),
        _choice("q1", "aiko", "base", "sft", "b"),
        _choice("q2", "aiko", "sft", "base", "tie"),
        _choice("q3", "aiko", "base", "sft", "a"),
        _choice("q4", "aiko", "base", "sft", None),
        _choice("q0", "aiko", "dpo", "base", "a"),
    ]
    axis = summarise(records)["axes"]["overall"]
    pairs = {(pair["model"], pair["against"]): pair for pair in axis["pairs"]}
    assert list(pairs) == [("base", "dpo"), ("base", "sft")]
    against_sft = pairs["base", "sft"]
    assert (against_sft["wins"], against_sft["ties"], against_sft["losses"]) == (1, 1, 2)
    assert against_sft["mean"] == pytest.approx(1.5 / 4)
    sft = axis["models"]["sft"]
    assert (sft["wins"], sft["ties"], sft["losses"], sft["num_questions"]) == (2, 1, 1, 4)
    assert sft["mean"] == pytest.approx(2.5 / 4)
    # Over questions: q0 was lost to both others, and counts once.
    assert axis["models"]["base"]["mean"] == pytest.approx((0 + 0 + 0.5 + 1) / 4)
    assert axis["num_cannot_judge"] == 1
    # Of four decided, the first shown won q0 twice, and q3.
    assert axis["shown_first"]["num_ratings"] == 4
    assert axis["shown_first"]["mean"] == pytest.approx((1 + 0 + 1) / 3)


def test_annotators_agree_on_models_and_not_on_sides():
    models = ("base", "sft")
    records = []
    for n, (aikos, bens) in enumerate(itertools.product(models, models)):
        # The same two are shown to ben the other way round.
        records.append(_choice(f"q{n}", "aiko", *models, "ab"[models.index(aikos)]))
        records.append(_choice(f"q{n}", "ben", *models[::-1], "ba"[models.index(bens)]))
    (pair,) = summarise(records)["axes"]["overall"]["agreement"]["pairs"]
    assert (pair["equal"], pair["cohen_kappa"]) == (0.5, 0.0)
    same = [record for record in records if record["question_id"] in ("q0", "q3")]
    agreement = summarise(same)["axes"]["overall"]["agreement"]
    assert (agreement["krippendorff_alpha"], agreement["level"]) == (1.0, "nominal")


def test_the_annotators_work_is_told():
    records = [_rating(f"q{n}", "aiko", "sft", overall=3) for n in range(3)]
    records.append(_rating("q0", "ben", "sft"))
    assert summarise(records)["annotators"] == {"aiko": {"num_tasks": 3, "median_seconds": 30.0}}


def test_no_ratings_and_both_kinds_at_once_are_refused():
    with pytest.raises(UserError, match="nothing has been rated yet"):
        summarise([_rating("q0", "ben", "sft")])
    with pytest.raises(UserError, match="each kind by itself"):
        summarise([_rating("q", "a", "m", overall=1), _choice("q", "a", "m", "n", "a")])


def test_the_tables_fit_a_terminal_and_the_summary_is_json():
    scored = [
        _rating(f"q{n}", name, model, overall=3, fluency=(n % 5) + 1, factuality=None)
        for n in range(9)
        for name in ("aiko", "ben")
        for model in ("llm-jp-3-13b-instruct3", "[red]x[/red]")
    ]
    chosen = [
        _choice(f"q{n}", "aiko", first, second, "ab"[n % 2])
        for n in range(4)
        for first, second in itertools.combinations(("base", "sft", "dpo"), 2)
    ]
    texts = []
    for records in (scored, chosen):
        summary = summarise(records)
        assert json.loads(json.dumps(summary)) == summary
        console = Console(width=80)
        with console.capture() as capture:
            console.print(render(summary))
        texts.append(capture.get())
    assert all(len(line) <= 80 for text in texts for line in text.splitlines())
    assert "[red]x[/red]" in texts[0]
    assert "“cannot judge”, left out: factuality 36" in texts[0]
    assert "base against dpo" in texts[1]
    assert "the answer shown first won 50% of 12 decided comparisons" in texts[1]
