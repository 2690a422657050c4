"""A place for programs that models wrote: bubblewrap around one Python process a program.

What a program finds: Linux namespaces of its own (processes, network, mounts, IPC, host name), a
network without devices, a read-only system with this Python and its packages and nothing else, an
empty /tmp and /dev/shm of limited size, no environment, no right to gain privileges. Kernel limits
hold its CPU time, memory, number of processes and file sizes; this process holds its wall clock,
the memory of all its processes together and what is kept of its output. When it ends, however it
ends, the kernel ends everything that it started.

It is a wall against programs that are wrong or wild. Whoever runs programs that attack kernels
puts a virtual machine around all of it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from jaxllm.metrics.syscall_filter import syscall_filter

_MIB = 2**20
_LOOK_EVERY = 0.1  # seconds between looks at the clock and the memory
_MOST_OUTPUT = 64 * 1024  # bytes kept of what a program prints
_DISK = 64 * _MIB  # of /tmp, and of /dev/shm
_PROGRAM = "/program.py"

# Users that nobody else is, so that a program's processes are counted by themselves: the kernel
# sets no limit to how many root has. (systemd reserves these for services that come and go.)
_USERS = itertools.cycle(range(61184, 65520))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one program may use.

    Attributes:
      cpu_seconds: of each process; it ends busy programs, alike on a busy and an idle machine.
      seconds: of wall clock; it ends programs that wait.
      memory: bytes, of each process and of all together.
      processes: at one time, threads included.
      file_size: bytes of one file.
    """

    cpu_seconds: int = 10
    seconds: float = 30.0
    memory: int = 1024 * _MIB
    processes: int = 32
    file_size: int = 16 * _MIB


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a program went: `finished` is True if it came to its end without error or exit.

    `output` is the beginning of what it printed, both streams together; `stopped` says why it was
    stopped from outside, if it was.
    """

    finished: bool
    output: str
    stopped: str = ""


class NoSandbox(Exception):
    """There is no sandbox here; the message says how to get one. Nothing is run without."""


def run_programs(programs: Sequence[str], limits: Limits | None = None) -> list[Run]:
    """Runs Python programs, as many at a time as there are cores, each in a sandbox of its own.

    Raises NoSandbox where `why_no_sandbox` says so.
    """
    if reason := why_no_sandbox():
        raise NoSandbox(reason)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(functools.partial(_run, limits=limits or Limits()), programs))


@functools.cache
def why_no_sandbox() -> str:
    """Why programs cannot be run here, empty where they can; found out once, by a real one."""
    if not shutil.which("bwrap"):
        return "there is no bubblewrap here: apt-get install bubblewrap"
    if syscall_filter() is None:
        return "the sandbox is for Linux on x86_64 and aarch64"
    run = _run("print(6 * 7)", Limits())
    if run.finished and run.output == "42\n":
        return ""
    told = (run.output or run.stopped or "it said nothing").strip().splitlines()
    return (
        f"bubblewrap does not work here ({told[-1]}); it needs version 0.8 or newer and user"
        " namespaces (sysctl kernel.unprivileged_userns_clone=1) or, as root, CAP_SYS_ADMIN"
    )


# Runs inside the sandbox: gives up root, sets the limits, then runs the program. Only a program
# that comes to its end has the token written for it: one that leaves early, by sys.exit() before
# its checks, does not. The token goes to stdout; what the program prints goes to stderr.
_DRIVER = """
import os, resource, runpy, sys
path, token, user, cpu, memory, processes, file_size = sys.argv[1:]
report = os.dup(1)
os.dup2(2, 1)
if user != "0":
    os.setgroups([])
    os.setresgid(*[int(user)] * 3)
    os.setresuid(*[int(user)] * 3)
for limit, value in [
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 256),
    (resource.RLIMIT_CPU, int(cpu)),
    (resource.RLIMIT_AS, int(memory)),
    (resource.RLIMIT_NPROC, int(processes)),
    (resource.RLIMIT_FSIZE, int(file_size)),
]:
    resource.setrlimit(limit, (value, value))
sys.argv = [path]
runpy.run_path(path, run_name="__main__")
os.write(report, token.encode())
try:
    sys.stdout.flush()
finally:
    os._exit(0)
"""


def _run(program: str, limits: Limits) -> Run:
    token = secrets.token_hex(16)
    filter_bytes = syscall_filter()
    assert filter_bytes is not None
    with (
        _file_in_memory(program.encode("utf-8", errors="replace")) as program_fd,
        _file_in_memory(filter_bytes) as filter_fd,
        subprocess.Popen(
            [*_bwrap(program_fd, filter_fd), *_driver(token, limits)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(program_fd, filter_fd),
            env={},
        ) as process,
    ):
        try:
            return _watch(process, token, limits)
        finally:
            process.kill()  # and the kernel kills the sandbox with it (--die-with-parent)


def _watch(process: subprocess.Popen[bytes], token: str, limits: Limits) -> Run:
    """Reads what a program prints until it has ended or one of our limits is reached."""
    assert process.stdout is not None
    assert process.stderr is not None
    report, output = bytearray(), bytearray()
    started = looked = time.monotonic()
    stopped = ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, report)
        selector.register(process.stderr, selectors.EVENT_READ, output)
        while selector.get_map() and not stopped:
            for key, _ in selector.select(_LOOK_EVERY):
                chunk = os.read(key.fd, 64 * 1024)
                if not chunk:
                    selector.unregister(key.fileobj)
                # The rest is read and dropped, so that a program that prints much can end.
                key.data.extend(chunk[: _MOST_OUTPUT - len(key.data)])
            now = time.monotonic()
            if now - started > limits.seconds:
                stopped = f"stopped after {limits.seconds:g} s"
            elif now - looked > _LOOK_EVERY:
                looked = now
                if _resident_memory(process.pid) > limits.memory:
                    stopped = f"stopped with more than {limits.memory // _MIB} MiB in memory"
    return Run(
        finished=report == token.encode() and not stopped,
        output=output.decode("utf-8", errors="replace"),
        stopped=stopped,
    )


def _resident_memory(pid: int) -> int:
    """Bytes that a process and all below it hold."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total


@contextlib.contextmanager
def _file_in_memory(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("jaxllm")
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(content)
        file.seek(0)
        yield descriptor


def _driver(token: str, limits: Limits) -> list[str]:
    numbers = (limits.cpu_seconds, limits.memory, limits.processes, limits.file_size)
    # -P: nothing is imported from the folder that a program writes to.
    flags = ["-P", "-s", "-X", "utf8", "-c", _DRIVER]
    return [sys.executable, *flags, _PROGRAM, token, str(_user()), *map(str, numbers)]


def _user() -> int:
    """Who a program runs as when this process is root; 0 when it is not, and nothing changes."""
    return next(_USERS) if os.geteuid() == 0 else 0


def _bwrap(program_fd: int, filter_fd: int) -> list[str]:
    bwrap = shutil.which("bwrap")
    assert bwrap
    # Root needs no user namespace, and must not have one: in it the new user would not exist.
    user = "--cap-add CAP_SETUID --cap-add CAP_SETGID" if os.geteuid() == 0 else "--unshare-user"
    return [
        bwrap,
        *"--unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try".split(),
        *"--die-with-parent --new-session --clearenv --cap-drop ALL".split(),
        *user.split(),
        # Sets print in one order, and a library of numbers starts no thread for each core.
        *"--setenv PYTHONHASHSEED 0 --setenv MALLOC_ARENA_MAX 2".split(),
        *"--setenv OMP_NUM_THREADS 1 --setenv OPENBLAS_NUM_THREADS 1".split(),
        *"--proc /proc --dev /dev --hostname sandbox".split(),
        *f"--perms 1777 --size {_DISK} --tmpfs /dev/shm --remount-ro /dev".split(),
        *f"--perms 1777 --size {_DISK} --tmpfs /tmp --chdir /tmp".split(),
        *_system(),
        *_python(),
        *f"--perms 0444 --ro-bind-data {program_fd} {_PROGRAM}".split(),
        *f"--remount-ro / --seccomp {filter_fd} --".split(),
    ]


@functools.cache
def _system() -> list[str]:
    """Binds the libraries of the system; nothing of /etc, /home, /var and the rest is there."""
    arguments = [
        "--ro-bind",
        "/usr",
        "/usr",
        "--ro-bind-try",
        "/etc/ld.so.cache",
        "/etc/ld.so.cache",
    ]
    for folder in (Path("/bin"), Path("/lib"), Path("/lib64")):
        if folder.is_symlink():
            arguments += ["--symlink", os.readlink(folder), str(folder)]
        elif folder.is_dir():
            arguments += ["--ro-bind", str(folder), str(folder)]
    return arguments


@functools.cache
def _python() -> list[str]:
    """Binds this Python and its packages, wherever its links lead."""
    folders = {Path(sys.prefix), Path(sys.base_prefix)}
    link = Path(sys.executable)
    while link.is_symlink():
        link = link.parent / os.readlink(link)
        folders.add(Path(os.path.normpath(link)).parent.parent)
    arguments: list[str] = []
    for folder in sorted(folders):
        if folder.is_relative_to("/usr") or folder == Path("/"):
            continue
        # Named one by one, the folders above may be walked through by every user.
        for above in reversed(folder.parents[:-1]):
            arguments += ["--dir", str(above)]
        arguments += ["--ro-bind", str(folder), str(folder)]
    return arguments
