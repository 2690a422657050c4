from __future__ import annotations

import pytest

from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.cards import Card
from jaxllm.reporting.progress import training_progress
from jaxllm.reporting.sizes import model_sizes
from jaxllm.reporting.strengths import profiles
from jaxllm.reporting.view_tables import progress_grid, sizes_grids, strengths_grid


def test_progress_has_a_point_a_step_with_tokens_and_the_loss_since_the_last(make_result):
    results = [
        make_result("tuned", {"A": [1] * right + [0] * (4 - right)}, folder=f"r/{step}", step=step)
        for step, right in ((0, 0), (10, 2), (20, 4))
    ]
    rows = [
        {"step": step, "loss": 30.0 - step, "tokens_seen": 100.0 * step} for step in (5, 10, 18)
    ]
    (board,) = make_boards(results)
    (progress,) = training_progress(board, lambda result: rows)
    assert [(point.step, point.tokens, point.loss) for point in progress.points] == [
        (0, 0, None),
        (10, 1000, 22.5),
        (20, 2000, 12.0),
    ]
    assert [point.scores[0][0] for point in progress.points] == [0.0, 0.5, 1.0]
    grid = progress_grid(progress, 3)
    assert grid.columns == ("step", "tokens", "loss", "AVR", "A")
    (bare,) = training_progress(board, lambda result: ())
    assert [(point.tokens, point.loss) for point in bare.points] == [
        (0, None),
        (None, None),
        (None, None),
    ]


def _models(make_result, scores):
    (board,) = make_boards(
        [
            make_result(None, values, folder=name, changes={"model": {"name": name}})
            for name, values in scores.items()
        ]
    )
    return board


def test_scores_follow_sizes_that_records_or_cards_tell(make_result):
    board = _models(
        make_result,
        {
            "llm-jp-3-1.8b": {"A": [1, 0, 0, 0]},
            "llm-jp-3-13b": {"A": [1, 1, 1, 0]},
            "mine": {"A": [1, 1, 0, 0]},
            "unknown": {"A": [0, 0, 0, 0]},
        },
    )
    sizes = model_sizes(board, [Card(name="mine", parameters=5e9, training_flops=1e22)])
    assert [model.label for model in sizes.models] == [
        "llm-jp-3-1.8b",
        "mine",
        "llm-jp-3-13b",
        "unknown",
    ]
    assert sizes.models[0].flops == 6 * 1867614208 * 2.1e12
    assert sizes.models[1].flops == 1e22
    trend = next(t for t in sizes.trends if (t.column, t.against) == ("AVR", "parameters"))
    assert trend.num_models == 3
    assert trend.spearman == 1.0
    assert trend.low < trend.slope < trend.high
    assert "1.87B on 2.1T tokens, 2.4e+22 FLOPs" in sizes_grids(sizes, 3)[0].rows[0][0]


def test_a_card_of_scores_alone_leaves_the_size_that_is_known(make_result):
    board = _models(make_result, {"llm-jp-3-1.8b": {"A": [1, 0]}})
    (model,) = model_sizes(board, [Card(name="llm-jp-3-1.8b", tokens=1e12)]).models
    assert (model.parameters, model.tokens) == (1867614208, 1e12)


def test_deviations_are_drawn_to_zero_by_how_uncertain_they_are(make_result):
    few, many = [1, 0, 1, 1], [1, 0, 1, 1] * 100
    board = _models(
        make_result,
        {
            name: {"A": many, "B": few, "C": [0] * 400, "D": [1, 0] * 200}
            for name in ("a", "b", "c")
        },
    )
    profile, *_ = profiles(board)
    own = profile.against_own_mean
    assert profile.mean == pytest.approx(0.5)
    assert own["A"].raw == own["B"].raw == pytest.approx(0.25)
    assert 0 < own["B"].shrunken < own["A"].shrunken < 0.25
    assert own["A"].is_clear
    assert own["C"].shrunken < 0
    # All models are alike: against its peers none stands out.
    assert all(one.shrunken == 0 and not one.is_clear for one in profile.against_peers.values())
    assert len(strengths_grid("t", [profile], 3).rows) == 2
    alone = _models(make_result, {"a": {"A": many, "B": few}})
    assert profiles(alone)[0].against_peers == {}
