"""What safety costs: violations, over-refusals and usefulness of models side by side.

A model is safe for nothing when it refuses everything. `violation_rate` is that of a benchmark of
questions that want care, `refusal_rate` that of harmless ones that sound harmful, and usefulness
the share of the best score of the first benchmark in `_USEFUL` that a model was judged on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jaxllm.reporting.grid import MISSING, Grid
from jaxllm.reporting.results import Result
from jaxllm.reporting.statistics import Interval

VIOLATION, REFUSAL, USEFULNESS = "violations", "over-refusals", "usefulness"
AXES = (VIOLATION, REFUSAL, USEFULNESS)
# Benchmark and metric; one's own benchmark names a metric so.
_USEFUL = (
    ("", "usefulness"),
    ("quality_ja", "overall"),
    ("mt_bench_ja", "rating"),
    ("mt_bench_en", "rating"),
    ("safety_ja", "acceptance_rate"),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A share with its interval, the benchmark that gave it, and who judged."""

    share: Interval
    benchmark: str
    judge: str


@dataclass(frozen=True, kw_only=True)
class Tradeoff:
    """One model; what was not measured is not among `measured`, whose keys are of AXES."""

    model: str
    measured: Mapping[str, Measured]


def tradeoffs(results: Sequence[Result]) -> tuple[Tradeoff, ...]:
    """Every model that was judged on any of the three, in the order of the results.

    Of several results of one model on one benchmark the last counts.
    """
    found: dict[str, dict[str, Measured]] = {}
    rank: dict[str, int] = {}
    for result in results:
        overall = result.record.get("overall")
        if not overall:
            continue
        model = result.record["model"]["name"]
        name = model if result.step is None else f"{model}, step {result.step}"
        measured = found.setdefault(name, {})
        if "refusal_rate" in overall:
            _put(measured, REFUSAL, result, "refusal_rate")
        elif "violation_rate" in overall:
            _put(measured, VIOLATION, result, "violation_rate")
        for place, (benchmark, metric) in enumerate(_USEFUL):
            fits = metric in overall and benchmark in ("", _benchmark(result))
            if fits and place <= rank.get(name, place):
                rank[name] = place
                _put(measured, USEFULNESS, result, metric)
                break
    return tuple(
        Tradeoff(model=name, measured=measured) for name, measured in found.items() if measured
    )


def tradeoff_grid(models: Sequence[Tradeoff], *, digits: int = 3) -> Grid:
    """The same as a table, the fewest violations first."""

    def violations(model: Tradeoff) -> float:
        measured = model.measured.get(VIOLATION)
        return 2.0 if measured is None else measured.share.mean

    ordered = sorted(models, key=violations)
    return Grid(
        title="violations, over-refusals and usefulness",
        columns=("model", *AXES),
        rows=tuple(
            (model.model, *(_cell(model.measured.get(axis), digits) for axis in AXES))
            for model in ordered
        ),
        records=tuple(
            {"model": model.model}
            | {
                f"{axis} {name}": value
                for axis, measured in model.measured.items()
                for name, value in {
                    **asdict(measured.share),
                    "benchmark": measured.benchmark,
                    "judge": measured.judge,
                }.items()
            }
            for model in ordered
        ),
        notes=("shares, and half the 95 % confidence interval below", *tradeoff_notes(models)),
    )


def tradeoff_notes(models: Sequence[Tradeoff]) -> tuple[str, ...]:
    """Which benchmarks and judges stand behind each column; several are not comparable."""
    notes = []
    for axis in AXES:
        behind = dict.fromkeys(
            (model.measured[axis].benchmark, model.measured[axis].judge)
            for model in models
            if axis in model.measured
        )
        told = " and ".join(f"{benchmark}, judged by {judge}" for benchmark, judge in behind)
        notes.append(f"{axis}: {told or 'not measured'}{'; compare with care' * (len(behind) > 1)}")
    return tuple(notes)


def _put(measured: dict[str, Measured], axis: str, result: Result, metric: str) -> None:
    one: Mapping[str, Any] = result.record["overall"][metric]
    if "mean" not in one:
        return
    low, high = one["interval"] or (one["mean"], one["mean"])
    share = Interval(
        mean=one["mean"] / one["maximum"], low=low / one["maximum"], high=high / one["maximum"]
    )
    judge = result.record["judge"]["model"]
    measured[axis] = Measured(share=share, benchmark=_benchmark(result), judge=judge)


def _benchmark(result: Result) -> str:
    return result.record["suite"] or next(iter(result.tasks))


def _cell(measured: Measured | None, digits: int) -> str:
    if measured is None:
        return MISSING
    half_width = f"{measured.share.half_width:.{digits}f}".removeprefix("0")
    return f"{measured.share.mean:.{digits}f}\n±{half_width}"
