"""Several processes become one program, and end as one.

A process learns who the others are from flags, from `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES`
and `JAX_PROCESS_ID` (which `jaxllm launch` sets), or from the cluster as JAX knows it: Cloud TPU,
GKE, SLURM, Open MPI. Where none of them says anything it is alone.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Sequence

import jax
from jax._src import clusters  # JAX's detection of clusters has no public name of its own

from jaxllm.errors import UserError
from jaxllm.observe.progress import silence
from jaxllm.parallel.roll_call import roll_call

COORDINATOR, NUM_PROCESSES, PROCESS_ID = (
    "JAX_COORDINATOR_ADDRESS",
    "JAX_NUM_PROCESSES",
    "JAX_PROCESS_ID",
)
# A process that says nothing for so long is dead, and all others end.
HEARTBEAT_SECONDS = 20
_START_SECONDS = 300
_CONNECT_SECONDS = 120  # all have come by then


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processes:
    """Who computes together: process 0 listens at `coordinator`."""

    coordinator: str
    num_processes: int
    process_id: int
    local_device_ids: Sequence[int] | None = None


def add_process_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that `joined` reads."""
    group = parser.add_argument_group(
        "several processes", "found in the environment (Cloud TPU, GKE, SLURM, Open MPI), or given:"
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 listens")
    group.add_argument("--num_processes", type=int, help="how many; 1 looks for no others")
    group.add_argument("--process_id", type=int, help="which one this is, from 0")
    group.add_argument(
        "--start_timeout",
        type=int,
        default=_START_SECONDS,
        metavar="S",
        help="seconds to wait for the others (default: %(default)s)",
    )


@contextlib.contextmanager
def joined(args: argparse.Namespace) -> Iterator[None]:
    """Runs the block as one of the processes that flags or environment name.

    All but the first keep quiet. A process that fails leaves at once, so that the others do not
    wait for it.

    Raises:
        UserError: who the others are is said in part only, or they do not come.
    """
    found = find_processes(args.coordinator, args.num_processes, args.process_id)
    if found is None:
        yield
        return
    roll_call(found.coordinator, found.num_processes, found.process_id, timeout=args.start_timeout)
    jax.distributed.initialize(
        found.coordinator,
        found.num_processes,
        found.process_id,
        local_device_ids=found.local_device_ids,
        cluster_detection_method="deactivate",
        initialization_timeout=_CONNECT_SECONDS,
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
    )
    with contextlib.ExitStack() as stack:
        if found.process_id > 0:
            silence()
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        try:
            yield
        except SystemExit:
            raise  # what all of them agreed on
        except BaseException as error:
            _leave(error, found.process_id)


def check_alone(args: argparse.Namespace, what: str) -> None:
    """Lets one process pass, for work that several would all do and write; `what` names it.

    Raises:
        UserError: flags or environment name several processes.
    """
    found = find_processes(args.coordinator, args.num_processes, args.process_id)
    if found is not None:
        raise UserError(
            f"{what} in one process, and this is number {found.process_id} of "
            f"{found.num_processes}: start one, with --num_processes=1"
        )


def find_processes(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> Processes | None:
    """Who computes together with this process; None where it is alone.

    What is given goes before what the environment says.

    Raises:
        UserError: one thing is said and another is not, or a number makes no sense.
    """
    coordinator = coordinator or os.environ.get(COORDINATOR)
    # Open MPI 5 says how many, but not where the first one is, and JAX does not know it then.
    num_processes = _number(num_processes, NUM_PROCESSES, "OMPI_COMM_WORLD_SIZE")
    process_id = _number(process_id, PROCESS_ID, "OMPI_COMM_WORLD_RANK")
    device_ids: Sequence[int] | None = None
    if num_processes == 1:
        return None
    if None in (coordinator, num_processes, process_id):
        coordinator, num_processes, process_id, device_ids = (
            clusters.ClusterEnv.auto_detect_unset_distributed_params(
                coordinator, num_processes, process_id, None, None, _START_SECONDS
            )
        )
    said = {
        "--coordinator": coordinator,
        "--num_processes": num_processes,
        "--process_id": process_id,
    }
    missing = [flag for flag, value in said.items() if value is None]
    if len(missing) == len(said) or num_processes == 1:
        return None
    if missing:
        raise UserError(
            f"several processes need {', '.join(said)}, and {', '.join(missing)} is not said: give "
            "the flag, or --num_processes=1 for a process of its own"
        )
    assert coordinator is not None
    assert num_processes is not None
    assert process_id is not None
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"--process_id={process_id} of --num_processes={num_processes}: it goes from 0 to "
            f"{num_processes - 1}"
        )
    return Processes(
        coordinator=coordinator,
        num_processes=num_processes,
        process_id=process_id,
        local_device_ids=device_ids,
    )


def _number(given: int | None, *variables: str) -> int | None:
    for variable in variables:
        text = os.environ.get(variable)
        if given is None and text:
            if not text.isdigit():
                raise UserError(f"{variable}={text!r} is no number")
            given = int(text)
    return given


def _leave(error: BaseException, process_id: int) -> None:
    """Ends this process without JAX's farewell, which would wait for the others for minutes."""
    where = f"process {process_id} on {socket.gethostname()}"
    if isinstance(error, UserError):
        status, text = 2, f"error: {where}: {error}\n"
    elif isinstance(error, KeyboardInterrupt):
        status, text = 130, f"{where}: interrupted\n"
    else:
        trace = "".join(traceback.format_exception(error))
        status, text = 1, f"{where} failed:\n{trace}"
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.write(text)
        sys.stderr.flush()
    if process_id == 0:
        time.sleep(1)  # the others end with it: those that fail the same way say so first
    os._exit(status)
