"""Start the processes of a verb on this host, and start them again when one of them dies.

    jaxllm launch --processes=2 -- train --config=configs/smoke_cpu.py --workdir=runs/smoke

On several hosts the same line goes to each of them, with one process a host: a process that dies on
one host ends those on all others, and the launcher of each host starts its own again.

The launcher is a program of its own, without JAX: what supervises must outlive what it supervises,
and works for every verb.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jaxllm.errors import UserError
from jaxllm.parallel.supervisor import supervise
from jaxllm.verb import Verb, run_verb

# Verbs whose processes share the work out; others would all do the same and write the same files.
_TOGETHER = ("train", "evaluate", "generate")


def launch(command: Sequence[str], *, processes: int = 1, max_restarts: int = 5) -> int:
    """Runs `jaxllm COMMAND` in processes until it is done; returns its exit status.

    Args:
        processes: how many on this host. With more than one they are told of each other.
        max_restarts: give up after so many starts in a row that did not last ten minutes.

    Raises:
        UserError: there is no command, one that runs alone, or a number that makes no sense.
    """
    if not command:
        raise UserError("nothing to launch: jaxllm launch --processes=2 -- train --config=...")
    if command[0] == "launch":
        raise UserError("a launcher launches no launcher: name another verb")
    if processes > 1 and command[0] not in _TOGETHER:
        raise UserError(
            f"jaxllm {command[0]} runs in one process: leave --processes={processes} out (of "
            f"several are {', '.join(_TOGETHER)})"
        )
    if processes < 1 or max_restarts < 0:
        raise UserError(
            f"--processes={processes} must be at least 1, and --max_restarts={max_restarts} at "
            "least 0"
        )
    command = [sys.executable, "-m", "jaxllm", *command]
    return supervise(command, processes=processes, max_restarts=max_restarts)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm launch`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm launch",
        usage="jaxllm launch [--processes=N] [--max_restarts=N] -- VERB [flags of the verb]",
        description="Start the processes of a verb on this host, and start them again when one of "
        "them dies. On several hosts give the same line to each; who the others are comes from "
        "the environment (Cloud TPU, GKE, SLURM, Open MPI) or the verb's own flags.",
        epilog="example: jaxllm launch --processes=2 -- train --config=configs/smoke_cpu.py "
        "--workdir=runs/smoke",
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="how many on this host (default: %(default)s)"
    )
    parser.add_argument(
        "--max_restarts",
        type=int,
        default=5,
        help="give up after so many starts in a row that did not last ten minutes "
        "(default: %(default)s)",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    return launch(command, processes=args.processes, max_restarts=args.max_restarts)


sys.modules[__name__].__class__ = Verb  # jaxllm.launch(...) calls launch(...)

if __name__ == "__main__":
    sys.exit(run_verb(main))
