"""Who has come: processes report to the first one before they start to compute together.

JAX's own start-up ends a process that waited in vain without saying for whom. Here the first
process listens on the coordinator's port, which hosts can reach in any case, and hands it to JAX
when all have reported. One JSON line each way: who reports, then who has come.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterable

from jaxllm.errors import UserError

_MAX_LINE = 65_536
_LINE_SECONDS = 2.0
_PAUSE_SECONDS = 0.5


def roll_call(coordinator: str, num_processes: int, process_id: int, *, timeout: float) -> None:
    """Returns when all processes are here, in all of them.

    Args:
        coordinator: HOST:PORT of process 0; the port is free again when this returns.
        timeout: seconds to wait for the others.

    Raises:
        UserError: some did not come in time (the message says who did), another program has the
            port, or processes were told different numbers.
    """
    host, port = _split(coordinator)
    deadline = time.monotonic() + timeout
    if process_id == 0:
        _listen(port, num_processes, timeout, deadline)
    else:
        _report(host, port, num_processes, process_id, timeout, deadline)


def _listen(port: int, num_processes: int, timeout: float, deadline: float) -> None:
    come: dict[int, tuple[str, socket.socket | None]] = {0: (socket.gethostname(), None)}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_server(port, deadline))
        while len(come) < num_processes and time.monotonic() < deadline:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                connection, _ = server.accept()
                stack.enter_context(connection)
                said = _read(connection)
                if not said:
                    continue
                if said["of"] != num_processes:
                    why = (
                        f"process {said['id']} on {said['host']} expects {said['of']} processes, "
                        f"process 0 {num_processes}: start all with the same number"
                    )
                    _answer([connection, *(c for _, c in come.values() if c)], {"error": why})
                    raise UserError(why)
                # One that reports twice was started anew: the last one counts.
                come[said["id"]] = (said["host"], connection)
                if len(come) == num_processes:
                    come = {n: (h, c) for n, (h, c) in come.items() if c is None or _is_there(c)}
        hosts = {number: host for number, (host, _) in sorted(come.items())}
        missing = [number for number in range(num_processes) if number not in come]
        connections = [connection for _, connection in come.values() if connection]
        if missing:
            why = _in_vain(hosts, missing, num_processes, timeout)
            _answer(connections, {"error": why})
            raise UserError(why)
        _answer(connections, {"all": num_processes})
        for connection in connections:
            # Who closes first keeps the port busy for a while: that must not be this side.
            connection.settimeout(_LINE_SECONDS)
            with contextlib.suppress(OSError):
                connection.recv(1)


def _report(
    host: str, port: int, num_processes: int, process_id: int, timeout: float, deadline: float
) -> None:
    me = {"id": process_id, "of": num_processes, "host": socket.gethostname()}
    reached = False
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, port), 5) as connection:
            connection.sendall(json.dumps(me).encode() + b"\n")
            reached = True
            # The first process answers at its own deadline, which may be a little after ours.
            connection.settimeout(max(1.0, deadline - time.monotonic() + 5))
            said = _read(connection)
            if "error" in said:
                raise UserError(said["error"])
            if said.get("all") == num_processes:
                return
        time.sleep(_PAUSE_SECONDS)  # not there yet, or one that is about to end
    what = "process 0 did not let them begin" if reached else "process 0 cannot be reached"
    raise UserError(
        f"process {process_id} on {me['host']} waited {timeout:g} s and {what} at {host}:{port}: "
        "look at its log and at the firewall, or raise --start_timeout"
    )


def _in_vain(hosts: dict[int, str], missing: list[int], total: int, timeout: float) -> str:
    there = ", ".join(f"{number} ({host})" for number, host in hosts.items())
    return (
        f"after {timeout:g} s {len(hosts)} of {total} processes have come: {there}; missing: "
        f"{', '.join(map(str, missing))}. Look at their logs, or raise --start_timeout"
    )


def _split(coordinator: str) -> tuple[str, int]:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"coordinator={coordinator!r}: write HOST:PORT, such as 10.0.0.2:8476")
    return host.strip("[]"), int(port)


def _server(port: int, deadline: float) -> socket.socket:
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    while True:
        try:
            return socket.create_server(("", port), family=family, dualstack_ipv6=dual)
        except OSError as error:
            # The process before this one may still be ending.
            if time.monotonic() > deadline:
                raise UserError(
                    f"the coordinator's port {port} cannot be used ({error.strerror}): name another"
                ) from error
            time.sleep(_PAUSE_SECONDS)


def _read(connection: socket.socket) -> dict:
    """The line that the other side says; empty where it says none, or something else."""
    if connection.gettimeout() is None:
        connection.settimeout(_LINE_SECONDS)
    data = b""
    try:
        while b"\n" not in data and len(data) < _MAX_LINE:
            part = connection.recv(4096)
            if not part:
                return {}
            data += part
        said = json.loads(data.split(b"\n")[0])
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _is_there(connection: socket.socket) -> bool:
    """Whether the other side has not gone away since it reported."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _answer(connections: Iterable[socket.socket], said: dict) -> None:
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps(said).encode() + b"\n")
