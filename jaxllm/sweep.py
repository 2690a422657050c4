"""A config's `sweep()` as runs, one folder each: which setting is best?

jaxllm sweep --config=configs/sweeps/lr.py --workdir=runs/lr
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict
from rich.console import Console

from jaxllm.config import add_config_flags, load_config, overrides_from_args
from jaxllm.observe.summary import read_summary
from jaxllm.observe.writer import read_scalars
from jaxllm.sweeping.plot import plot_page
from jaxllm.sweeping.points import Point, sweep_points
from jaxllm.sweeping.runs import Runs, check_folders
from jaxllm.sweeping.table import Outcome, Ranking, as_csv, check_metric, render
from jaxllm.verb import Verb, run_verb

_EXAMPLE = """\
The file's sweep(add) stands beside its get_config and names the points:

  def sweep(add):
      for peak_lr in (1e-4, 3e-4, 1e-3):
          add({"optimizer.peak_lr": peak_lr})

The same command given again goes on where a sweep was interrupted, and runs what had failed. It
leaves WORKDIR/sweep.csv with every number and WORKDIR/sweep.html with plots.

exit status: 0 all points finished, 1 some failed

example: jaxllm sweep --config=configs/sweeps/lr.py --workdir=runs/lr --config.steps=100
"""


def sweep(
    spec: str,
    workdir: str | os.PathLike[str],
    *,
    overrides: Sequence[str] = (),
    parallel: int = 1,
    gpus: int = 0,
    metric: str = "",
    collect: bool = False,
) -> list[Outcome]:
    """Runs every point of the sweep in `spec` that is not finished; leaves table and plots.

    Args:
        spec: a config file with `sweep`, and its argument as in `--config`.
        overrides: `field=value` for all points; what a point changes wins.
        parallel: how many run at once on this machine.
        gpus: GPUs that these share, each having its own; 0 shows all devices to all.
        metric: what points are compared by; empty: `config.checkpoint.best_metric`, or the loss.
        collect: run nothing, look at what is there.

    Raises:
        UserError: a sweep or config that cannot work, a folder of another config, a metric that no
            run has.
    """
    folder = Path(workdir)
    points = sweep_points(spec)
    configs = [load_config(spec, [*overrides, *point.overrides]) for point in points]
    check_folders(points, configs, folder)
    failures: Mapping[str, str] = {}
    if not collect:
        folder.mkdir(parents=True, exist_ok=True)
        with Runs(parallel=parallel, gpus=gpus, say=_say) as runs:
            failures = runs.run(points, configs, folder)
    outcomes = [
        _outcome(point, folder / point.name, failures.get(point.name, "")) for point in points
    ]
    ranking = _ranking(metric, configs[0].checkpoint)
    check_metric(ranking, outcomes)
    (folder / "sweep.csv").write_text(as_csv(outcomes), encoding="utf-8")
    (folder / "sweep.html").write_text(plot_page(outcomes, ranking), encoding="utf-8")
    Console().print(render(outcomes, ranking))
    if best := ranking.best(outcomes):
        _say(f"best {ranking.metric}: {ranking.value(best):.4g}, {best.point.name}")
    for outcome in outcomes:
        if outcome.failure:
            _say(f"failed: {outcome.point.name}: {outcome.failure}")
    _say(f"wrote {folder / 'sweep.csv'} and {folder / 'sweep.html'}")
    return outcomes


def commands(
    spec: str, workdir: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> list[str]:
    """A `jaxllm train` command line for each point, for a shell on whatever machine."""
    lines = []
    for point in sweep_points(spec):
        changes = [*overrides, *point.overrides]
        load_config(spec, changes)  # a point that cannot work is told now
        flags = [f"--config={spec}", *(f"--config.{change}" for change in changes)]
        folder = f"{os.fspath(workdir).rstrip('/')}/{point.name}"
        lines.append(shlex.join(["jaxllm", "train", *flags, f"--workdir={folder}"]))
    return lines


def _outcome(point: Point, folder: Path, failure: str) -> Outcome:
    losses = [(row["step"], row["loss"]) for row in read_scalars(folder) if row.get("loss")]
    return Outcome(point=point, summary=read_summary(folder), losses=losses, failure=failure)


def _ranking(metric: str, checkpoint: ConfigDict) -> Ranking:
    if metric and metric != checkpoint.best_metric:
        return Ranking(metric=metric, more_is_better=not metric.endswith("loss"))
    if checkpoint.best_metric:
        more_is_better = checkpoint.best_mode == "max"
        return Ranking(metric=checkpoint.best_metric, more_is_better=more_is_better)
    return Ranking(metric="loss", more_is_better=False)


def _say(text: str) -> None:
    print(text, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm sweep`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm sweep",
        description="Run every point of a config's sweep() and compare what they reach.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_flags(parser)
    parser.add_argument("--workdir", required=True, help="a folder for each point, and the table")
    parser.add_argument("--parallel", type=int, default=1, help="runs at once (default 1)")
    parser.add_argument(
        "--gpus", type=int, default=0, help="GPUs of this machine, shared out to the runs"
    )
    parser.add_argument(
        "--metric", default="", help="what to compare (default: checkpoint.best_metric, or loss)"
    )
    parser.add_argument("--collect", action="store_true", help="run nothing; table and plots only")
    parser.add_argument("--dry_run", action="store_true", help="print a command for each point")
    args, unknown = parser.parse_known_args(argv)
    overrides = overrides_from_args(args, unknown)
    if args.dry_run:
        print("\n".join(commands(args.config, args.workdir, overrides)))
        return 0
    # A sweep that is told to end ends its runs too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    outcomes = sweep(
        args.config,
        args.workdir,
        overrides=overrides,
        parallel=args.parallel,
        gpus=args.gpus,
        metric=args.metric,
        collect=args.collect,
    )
    return int(any(outcome.failure for outcome in outcomes))


sys.modules[__name__].__class__ = Verb  # jaxllm.sweep(...) calls sweep(...)

if __name__ == "__main__":
    sys.exit(run_verb(main))
