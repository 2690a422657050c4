"""How good an evaluation is itself: what it can tell apart, and whether it would say so again.

- Split-half reliability of a task: models' scores on random halves of its samples, correlated over
  models, stepped up to the full length (Spearman 1910, Brown 1910), the mean over many splits.
- The minimum detectable difference is what a paired test at 5 % finds with a power of 80 %, by the
  spread that the models' paired differences have here; of one model alone, as if another one
  answered independently. The same formula says how many samples a wanted difference needs.
- Rank stability: tasks are drawn anew with replacement, averages and ranks made of what was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from jaxllm.reporting.averages import averaged_categories
from jaxllm.reporting.boards import BASE, TUNED, Board
from jaxllm.reporting.results import Result

WANTED = 0.05  # the difference that sample sizes are given for
_ALPHA, _POWER = 0.05, 0.8
_SPLITS, _DRAWS = 400, 2_000
_LEAST_MODELS = 3  # a correlation over two models is always 1 or -1


@dataclass(frozen=True, kw_only=True)
class TaskReliability:
    """What one task can tell. `split_half` is None below three models or where all score alike.

    `detectable` is the least difference found at this number of samples, `needed` the samples that
    a difference of WANTED needs; both are None where the differences seen here never vary.
    """

    task: str
    num_models: int
    num_samples: int
    split_half: float | None
    detectable: float | None
    needed: int | None


@dataclass(frozen=True, kw_only=True)
class RankStability:
    """A model's rank by average, its 95 % range over draws of tasks, and how often it stays."""

    label: str
    average: float
    rank: int
    low: int
    high: int
    stays: float


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A board's evaluation judged. `kendall` is the mean rank correlation with drawn tasks."""

    title: str
    tasks: tuple[TaskReliability, ...]
    ranks: tuple[RankStability, ...]
    kendall: float | None


def judge_evaluation(board: Board) -> Reliability:
    """The reliability of every task of a board, and of the ranks it gives."""
    runs = [*board.having(BASE), *board.having(TUNED)]
    names = dict.fromkeys(task for run in runs for task in run.headline_scores)
    ranks, kendall = _rank_stability(board, runs)
    return Reliability(
        title=board.title,
        tasks=tuple(
            found for name in names if (found := _task_reliability(name, runs)) is not None
        ),
        ranks=ranks,
        kendall=kendall,
    )


def detectable_difference(spread: float, count: int) -> float:
    """The least mean difference found at `count` samples whose differences spread so (std)."""
    return _quantiles() * spread / math.sqrt(count)


def samples_needed(spread: float, difference: float) -> int:
    """How many samples a paired test needs to find a mean difference."""
    return max(2, math.ceil((_quantiles() * spread / difference) ** 2))


def split_half(score_MN: np.ndarray, *, splits: int = _SPLITS, seed: int = 0) -> float | None:
    """The split-half reliability of scores of M models on N samples, None where it has none."""
    models, count = score_MN.shape
    half = count // 2
    if models < _LEAST_MODELS or half < 1 or np.ptp(score_MN.mean(axis=1)) == 0:
        return None
    generator = np.random.default_rng(seed)
    is_first_SN = np.zeros((splits, count))
    order_SN = generator.permuted(np.tile(np.arange(count), (splits, 1)), axis=1)
    np.put_along_axis(is_first_SN, order_SN[:, :half], 1.0, axis=1)
    first_MS = score_MN @ is_first_SN.T / half
    second_MS = score_MN @ (1 - is_first_SN).T / (count - half)
    first_MS, second_MS = (part - part.mean(axis=0) for part in (first_MS, second_MS))
    spread_S = np.sqrt((first_MS**2).sum(axis=0) * (second_MS**2).sum(axis=0))
    told = spread_S > 1e-12
    if not told.any():
        return None
    correlation_S = (first_MS * second_MS).sum(axis=0)[told] / spread_S[told]
    mean = float(correlation_S.mean())
    return 2 * mean / (1 + mean) if mean > 0 else mean


def _quantiles() -> float:
    return float(special.ndtri(1 - _ALPHA / 2) + special.ndtri(_POWER))


def _task_reliability(task: str, runs: Sequence[Result]) -> TaskReliability | None:
    # Scores on other data are scores of another task.
    asked = [run for run in runs if task in run.headline_scores]
    digest = asked[0].tasks[task].get("data_sha256")
    same = [run for run in asked if run.tasks[task].get("data_sha256") == digest]
    scores = [run.headline_scores[task] for run in same]
    shared = [id for id in scores[0] if all(id in other for other in scores)]
    if len(shared) < 2:
        return None
    score_MN = np.array([[of_run[id] for id in shared] for of_run in scores])
    spread = _difference_spread(score_MN)
    return TaskReliability(
        task=task,
        num_models=len(same),
        num_samples=len(shared),
        split_half=split_half(score_MN),
        detectable=detectable_difference(spread, len(shared)) if spread else None,
        needed=samples_needed(spread, WANTED) if spread else None,
    )


def _difference_spread(score_MN: np.ndarray) -> float:
    """The standard deviation of paired differences, over all pairs of models."""
    if len(score_MN) == 1:
        return math.sqrt(2 * float(score_MN.var(ddof=1)))
    covariance_MM = np.cov(score_MN)
    variance_M = np.diag(covariance_MM)
    difference_MM = variance_M[:, None] + variance_M - 2 * covariance_MM
    pairs = np.triu_indices(len(score_MN), k=1)
    return math.sqrt(max(0.0, float(difference_MM[pairs].mean())))


def _rank_stability(
    board: Board, runs: Sequence[Result]
) -> tuple[tuple[RankStability, ...], float | None]:
    """Of the models that were scored on the tasks of the first one."""
    whole = [run for run in runs if run.average.get("mean") is not None and run.tasks]
    if not whole:
        return (), None
    tasks = _averaged_tasks(whole[0])
    whole = [run for run in whole if _averaged_tasks(run) == tasks]
    if len(whole) < 2 or len(tasks) < 2:
        return (), None
    score_MT = np.array([[_mean(run, task) for task in tasks] for run in whole])
    categories = np.array(list(tasks.values()))
    average_M = _averages(score_MT, categories, np.ones((1, len(tasks))))[:, 0]
    generator = np.random.default_rng(0)
    count_RT = generator.multinomial(len(tasks), [1 / len(tasks)] * len(tasks), size=_DRAWS)
    average_MR = _averages(score_MT, categories, count_RT)
    rank_M, rank_MR = (stats.rankdata(-x, method="min", axis=0) for x in (average_M, average_MR))
    taus = [stats.kendalltau(average_M, some).statistic for some in average_MR.T[:200]]
    found = [
        RankStability(
            label=board.label(run),
            average=float(average_M[index]),
            rank=int(rank_M[index]),
            low=int(np.quantile(rank_MR[index], 0.025, method="lower")),
            high=int(np.quantile(rank_MR[index], 0.975, method="higher")),
            stays=float((rank_MR[index] == rank_M[index]).mean()),
        )
        for index, run in enumerate(whole)
    ]
    finite = [tau for tau in taus if math.isfinite(tau)]
    found.sort(key=lambda one: one.rank)
    return tuple(found), float(np.mean(finite)) if finite else None


def _averaged_tasks(run: Result) -> dict[str, str]:
    """The scored tasks that enter a run's average, each with its category."""
    averaged = averaged_categories(run)
    return {
        name: str(run.category_of(name))
        for name, task in run.tasks.items()
        if run.category_of(name) in averaged and "missing" not in task["metrics"][task["headline"]]
    }


def _mean(run: Result, task: str) -> float:
    measured = run.tasks[task]["metrics"][run.tasks[task]["headline"]]
    return measured["mean"] / run.maximum(task)


def _averages(score_MT: np.ndarray, categories: np.ndarray, count_RT: np.ndarray) -> np.ndarray:
    """Averages of models over draws: means over the categories that were drawn at all."""
    total_MR = np.zeros((len(score_MT), len(count_RT)))
    drawn_R = np.zeros(len(count_RT))
    for category in np.unique(categories):
        inside = categories == category
        count_R = count_RT[:, inside].sum(axis=1)
        sum_MR = score_MT[:, inside] @ count_RT[:, inside].T
        total_MR += np.where(count_R > 0, sum_MR / np.maximum(count_R, 1), 0.0)
        drawn_R += count_R > 0
    return total_MR / drawn_R
