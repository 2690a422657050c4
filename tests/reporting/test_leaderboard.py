from __future__ import annotations

import csv

import pyarrow.parquet
import pytest

from jaxllm.errors import UserError
from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.chance import above_chance, chance_score
from jaxllm.reporting.grid import markdown, write_grids
from jaxllm.reporting.leaderboard import leaderboard_grid, make_leaderboard
from jaxllm.reporting.readers import read_material
from jaxllm.reporting.views import ViewOptions, leaderboards

# The seed's tables: nine categories of llm-jp-eval, and two scores before and after tuning.
_CATEGORIES = "EL FA HE MC MR MT NLI QA RC".split()
_BY_CATEGORY = """\
v1.0-A 0.269 0.105 0.067 0.260 0.203 0.020 0.597 0.309 0.303 0.557
v1.0-B 0.382 0.352 0.176 0.249 0.203 0.130 0.787 0.349 0.469 0.721
v1.0-C 0.507 0.188 0.071 0.301 0.884 0.136 0.604 0.911 0.544 0.923
v1.0-D 0.491 0.169 0.052 0.316 0.874 0.140 0.482 0.920 0.540 0.923
v1.0-E 0.386 0.378 0.163 0.254 0.217 0.146 0.780 0.408 0.406 0.727
v1.0-F 0.536 0.276 0.140 0.307 0.849 0.168 0.714 0.909 0.535 0.924
v1.0-G 0.378 0.389 0.138 0.247 0.223 0.104 0.737 0.401 0.421 0.739
v1.0-H 0.524 0.317 0.114 0.296 0.805 0.140 0.704 0.861 0.562 0.919
v1.1-I 0.365 0.367 0.155 0.237 0.221 0.042 0.759 0.435 0.361 0.708
v1.1-J 0.395 0.387 0.159 0.241 0.258 0.044 0.786 0.480 0.471 0.726
v1.1-K 0.350 0.351 0.151 0.236 0.225 0.042 0.774 0.359 0.330 0.678
v2.0-L 0.405 0.389 0.241 0.253 0.183 0.182 0.796 0.298 0.522 0.781
v2.0-M 0.387 0.350 0.196 0.250 0.186 0.216 0.785 0.316 0.421 0.759
v2.0-N 0.383 0.355 0.192 0.246 0.193 0.208 0.782 0.313 0.409 0.751
v2.0-O 0.388 0.348 0.190 0.248 0.215 0.210 0.783 0.320 0.429 0.750"""
_TUNING = """\
llm-jp-3-1.8b – 0.3767
llm-jp-3-1.8b+チューニング 4.931 0.4596
llm-jp-3-13b – 0.5802
llm-jp-3-13b+チューニング 6.469 0.6168
llm-jp-3-3.8b – 0.4231
llm-jp-3-3.8b+チューニング 5.500 0.5188
チューニング済み llm-jp-13b-v2.0 3.675 0.3881"""

_MANY = 40


def _cells(grid):
    return [[cell.split("\n")[0].split("[")[0] for cell in row] for row in grid.rows[:-1]]


def test_the_table_by_category_renders_as_published(tmp_path):
    lines = ["models:"]
    for row in _BY_CATEGORY.splitlines():
        name, average, *scores = row.split()
        categories = ", ".join(f"{c}: {s}" for c, s in zip(_CATEGORIES, scores, strict=True))
        lines += [f"- name: {name}", "  scores:"]
        lines += [f"  - {{suite: llm-jp-eval, average: {average}, categories: {{{categories}}}}}"]
    (tmp_path / "cards.yaml").write_text("\n".join(lines))
    material = read_material([tmp_path / "cards.yaml"])
    (grid,) = leaderboards(material, ViewOptions(sort="model"))
    assert grid.columns == ("model", "rank", "AVR", *_CATEGORIES)
    shown = [" ".join([name, *scores]) for name, _, *scores in _cells(grid)]
    assert shown == _BY_CATEGORY.splitlines()
    ranks = {row[0]: row[1] for row in grid.rows}
    assert ranks["v1.0-F"] == "1?"
    assert "order alone" in " ".join(grid.notes)
    # Each published average is the mean of its published categories, to the last digit.
    for record in grid.records:
        mean = sum(record[name] for name in _CATEGORIES) / len(_CATEGORIES)
        assert record["AVR"] == pytest.approx(mean, abs=1.1e-3)


def test_the_table_of_tuning_renders_as_published_with_the_judge_beside(tmp_path):
    lines = ["models:"]
    for row in _TUNING.splitlines():
        name, judged, average = row.rsplit(" ", 2)
        lines += [f"- name: {name}", "  scores:"]
        lines += [f"  - {{suite: llm-jp-eval, average_name: llm-jp-eval, average: {average}}}"]
        if judged != "–":
            lines += [f"  - {{benchmark: MT-Bench, score: {judged}, maximum: 10}}"]
    (tmp_path / "cards.yaml").write_text("\n".join(lines))
    material = read_material([tmp_path / "cards.yaml"])
    (grid,) = leaderboards(material, ViewOptions(sort="model", digits=4))
    assert grid.columns == ("model", "rank", "llm-jp-eval", "MT-Bench")
    shown = [f"{name} {judged} {average}" for name, _, average, judged in _cells(grid)]
    assert shown == _TUNING.splitlines()


def _board(make_result, **models):
    named = {
        name: make_result(None, scores, folder=name, changes={"model": {"name": name}})
        for name, scores in models.items()
    }
    (board,) = make_boards(list(named.values()))
    return board


def test_models_share_a_rank_with_the_first_they_do_not_differ_from(make_result):
    right = [1] * _MANY
    board = _board(
        make_result,
        best={"A": right, "B": right},
        near={"A": [0] * 2 + right[2:], "B": right},
        far={"A": [0] * 20 + right[20:], "B": [0] * 20 + right[20:]},
        near_far={"A": [0] * 22 + right[22:], "B": [0] * 20 + right[20:]},
    )
    leaderboard = make_leaderboard(board)
    assert [(e.label, e.rank, e.tested) for e in leaderboard.entries] == [
        ("best", 1, True),
        ("near", 1, True),
        ("far", 3, True),
        ("near_far", 3, True),
    ]


def test_what_is_incomplete_has_no_rank_and_says_what_it_lacks(make_result):
    board = _board(make_result, a={"A": [1, 1], "B": [1, 0]}, b={"A": [1, 0], "B": [0, 0]})
    lacking = make_result(None, {"A": [1, 1], "B": None}, folder="c")
    (board,) = make_boards([*board.runs, lacking])
    leaderboard = make_leaderboard(board)
    by_label = {entry.label: entry for entry in leaderboard.entries}
    assert by_label["small"].rank is None
    assert by_label["small"].scores[0].note == "of 1 categories, without B"
    assert by_label["small"].scores[2].mean is None
    assert by_label["a"].rank == 1
    assert by_label["a"].scores[0].num_samples == 4


def test_judged_scores_stand_beside_on_their_scale_for_their_own_model(make_result):
    board = _board(make_result, a={"A": [1]}, b={"A": [0]})
    judged = make_result(
        None,
        {"writing": [1]},
        folder="judged",
        suite="mt_bench_ja",
        changes={
            "model": {"name": "b"},
            "judge": {"model": "gpt-4"},
            "overall": {"rating": {"mean": 6.5, "interval": [6, 7], "maximum": 10.0}},
        },
    )
    leaderboard = make_leaderboard(board, [judged])
    assert leaderboard.columns == ("AVR", "A", "mt_bench_ja")
    assert [entry.scores[-1].mean for entry in leaderboard.entries] == [None, 6.5]
    grid = leaderboard_grid(leaderboard)
    assert grid.rows[1][-1] == "6.50\n±.50"


def test_sorting_puts_the_best_first_and_names_the_columns_there_are(make_result):
    board = _board(make_result, a={"A": [1, 1], "B": [0, 0]}, b={"A": [1, 0], "B": [1, 0]})
    assert [e.label for e in make_leaderboard(board, sort="B").entries] == ["b", "a"]
    assert [e.label for e in make_leaderboard(board, sort="A").entries] == ["a", "b"]
    with pytest.raises(UserError, match="there are model, AVR, A, B"):
        make_leaderboard(board, sort="C")


def test_above_chance_guessing_is_nothing_and_the_means_follow(make_result):
    result = make_result(None, {"A": [1, 0, 0, 0], "B": [1, 1, 0, 0]})
    result.tasks["mini/v1:a"]["labels"] = ["1", "2", "3", "4"]
    assert chance_score(result.tasks["mini/v1:a"]) == 0.25
    corrected = above_chance(result)
    assert corrected.categories["A"]["mean"] == 0.0
    assert corrected.categories["B"]["mean"] == 0.5
    assert corrected.average["mean"] == 0.25
    low, high = result.categories["A"]["interval"]
    assert corrected.categories["A"]["interval"] == [
        pytest.approx((low - 0.25) / 0.75),
        pytest.approx((high - 0.25) / 0.75),
    ]
    assert corrected.headline_scores["mini/v1:a"]["A-1"] == pytest.approx(-1 / 3)


def test_a_leaderboard_is_written_as_csv_parquet_and_markdown(make_result, tmp_path):
    board = _board(make_result, **{"a|b": {"A": [1, 0]}, "<b>": {"A": [0, 0]}})
    grid = leaderboard_grid(make_leaderboard(board))
    for name in ("t.csv", "t.parquet", "t.md"):
        write_grids(tmp_path / name, [grid])
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["model"] == "a|b"
    assert float(rows[0]["AVR"]) == 0.5
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert table[0]["AVR_samples"] == 2
    assert (table[0]["AVR_low"], table[0]["AVR_high"]) == (
        float(rows[0]["AVR_low"]),
        float(rows[0]["AVR_high"]),
    )
    text = markdown([grid])
    assert "| a\\|b | 1 | 0.500" in text
    assert "&lt;b>" in text
    with pytest.raises(UserError, match=r"\.csv, \.parquet, \.json, \.md"):
        write_grids(tmp_path / "t.xlsx", [grid])
