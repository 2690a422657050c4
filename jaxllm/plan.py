"""What a config needs on TPUs that are not here: does it fit, and how long will it take.

jaxllm plan --config=configs/sft/own_jsonl.py:mine.jsonl --topology=v5e:4x4 --config.mesh.fsdp=16
jaxllm plan --config=configs/eval/mini.py --model=llm-jp/llm-jp-3-13b --topology=v5e:2x4
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console

from jaxllm.config import add_config_flags, config_from_args
from jaxllm.errors import UserError
from jaxllm.planning.advice import find_advice
from jaxllm.planning.process import Job, run_trial
from jaxllm.planning.record import evaluation_record, plan_record
from jaxllm.planning.search import search
from jaxllm.planning.table import print_evaluation, print_plan
from jaxllm.planning.topology import Topology, parse_topology
from jaxllm.planning.trial import DecodeTrial, Trial
from jaxllm.verb import Verb, run_verb

_DOES_NOT_FIT = 1
_SEARCHED = 12


def plan(
    config: ConfigDict,
    topology: str,
    *,
    model: str = "",
    num_slices: int = 1,
    read_data: bool = False,
    evaluation: bool = True,
    advise: bool = True,
    searched: int = 0,
    mfu: float = 0.4,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The plan of a config of `jaxllm train` or `evaluate`, as `jaxllm plan --json` prints it.

    Args:
        topology: of one slice, such as `v5e:4x4`, `v5p:2x2x4` or `v5p-32`.
        model: the one that a config of `jaxllm evaluate` is for; its weights need not be here.
        num_slices: how many of them.
        read_data: whether the data is read for the number of steps and the positions with loss.
        evaluation: whether the programs of evaluators are compiled as well.
        advise: whether changes are tried where the config does not fit.
        searched: how many meshes and remat policies are compiled and ranked.
        mfu: the share of the peak that hours are counted with.
        say: told what is being compiled.

    Raises:
        UserError: no such topology, a config that cannot run on it, or no libtpu.
    """
    place = parse_topology(topology, num_slices)
    if "optimizer" not in config:
        if read_data or searched:
            raise UserError("--read_data and --search are for a config of jaxllm train")
        return _plan_evaluation(config, place, model, advise, say)
    if model:
        raise UserError("--model is for a config of jaxllm evaluate; here it is config.init_from")
    if not 0 < mfu <= 1:
        raise UserError(f"--mfu={mfu}: use a share of the peak, such as 0.4")
    job = Job(topology=place.name, num_slices=num_slices, read_data=read_data)
    say(f"compiling for {place.describe()}")
    job = dataclasses.replace(job, evaluation=evaluation)
    trial = run_trial(config, dataclasses.replace(job, always=True))
    assert isinstance(trial, Trial)
    tried = find_advice(config, trial, place, job, say) if advise and not trial.fits(place) else []
    job = dataclasses.replace(job, evaluation=False)
    found = search(config, place, job, most=searched, say=say) if searched else None
    return plan_record(
        trial,
        place,
        accumulation=config.input.accumulation,
        mfu=mfu,
        tried=tried,
        found=found,
    )


def _plan_evaluation(
    config: ConfigDict, place: Topology, model: str, advise: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    job = Job(topology=place.name, num_slices=place.num_slices, model=model)
    say(f"compiling for {place.describe()}")
    trial = run_trial(config, dataclasses.replace(job, always=True))
    assert isinstance(trial, DecodeTrial)
    tried = find_advice(config, trial, place, job, say) if advise and not trial.fits(place) else []
    return evaluation_record(trial, place, tried=tried)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm plan`: 0 where the config fits, 1 where it does not."""
    parser = argparse.ArgumentParser(
        prog="jaxllm plan",
        description="Compile a config of jaxllm train for TPUs that are not here: memory, "
        "communication, time; of jaxllm evaluate: memory. Exit status: 0 it fits, 1 it does not, "
        "2 it cannot be planned.",
        epilog="example: jaxllm plan --config=configs/sft/own_jsonl.py:mine.jsonl "
        "--topology=v5e:4x4 --config.mesh.fsdp=16 --config.model.remat=full",
    )
    add_config_flags(parser)
    parser.add_argument(
        "--topology",
        default="",
        help="of one slice: v5e:4x4, v5p:2x2x4, or v5p-32 (config.topology, where it has one)",
    )
    parser.add_argument(
        "--model",
        default="",
        help="of a config of jaxllm evaluate: folder, hub id or checkpoint whose sizes are wanted",
    )
    parser.add_argument("--num_slices", type=int, default=1, help="how many slices")
    parser.add_argument(
        "--read_data",
        action="store_true",
        help="read the config's data: it says how many steps its epochs are, and how many "
        "positions of a row carry loss (without it all of them)",
    )
    parser.add_argument(
        "--search",
        type=int,
        nargs="?",
        const=_SEARCHED,
        default=0,
        metavar="N",
        help=f"compile N meshes and remat policies ({_SEARCHED}) and rank those that fit",
    )
    parser.add_argument(
        "--mfu", type=float, default=0.4, help="share of the peak to count hours with (0.4)"
    )
    parser.add_argument(
        "--no_evaluation", action="store_true", help="leave the programs of evaluators out"
    )
    parser.add_argument(
        "--no_advice", action="store_true", help="do not try changes where it does not fit"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args, unknown = parser.parse_known_args(argv)
    progress = Console(stderr=True, highlight=False)
    config = config_from_args(args, unknown)
    record = plan(
        config,
        args.topology or config.get("topology", ""),
        model=args.model,
        num_slices=args.num_slices,
        read_data=args.read_data,
        evaluation=not args.no_evaluation,
        advise=not args.no_advice,
        searched=args.search,
        mfu=args.mfu,
        say=progress.print,
    )
    if args.json:
        print(json.dumps(record))
    elif "optimizer" in config:
        print_plan(record, Console())
    else:
        print_evaluation(record, Console())
    return 0 if record["fits"] else _DOES_NOT_FIT


sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
