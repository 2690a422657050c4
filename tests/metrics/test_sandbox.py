"""What programs can do in the sandbox, and that those beside a wild one score as they should."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from jaxllm.metrics import MissingMetric, get_metric, sandbox
from jaxllm.metrics.sandbox import Limits, run_programs

_TIGHT = Limits(cpu_seconds=1, seconds=4, memory=256 * 2**20)


@pytest.fixture(autouse=True)
def _needs_a_sandbox(request: pytest.FixtureRequest) -> None:
    if "without_bubblewrap" not in request.node.name and (reason := sandbox.why_no_sandbox()):
        pytest.skip(reason)


def _beside_good_ones(program: str, limits: Limits = _TIGHT) -> sandbox.Run:
    """How a program goes with a good one before and after it, which must not notice."""
    first, run, last = run_programs(["print('あ')", program, "assert 1 + 1 == 2"], limits)
    assert (first.finished, first.output) == (True, "あ\n")
    assert last.finished
    return run


def _our_processes() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_a_program_finishes_only_by_coming_to_its_end():
    programs = {
        "x = 1": True,
        "print('a' * 1_000_000)": True,
        "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()": True,
        "1 / 0": False,
        "assert False": False,
        "def f(:": False,
        "import sys; sys.exit(0)": False,
        "import os; os._exit(0)": False,
        "raise SystemExit": False,
        "input()": False,
    }
    runs = run_programs(list(programs))
    assert {program: run.finished for program, run in zip(programs, runs, strict=True)} == programs
    assert max(len(run.output) for run in runs) == 64 * 1024
    assert "ZeroDivisionError" in runs[3].output


def test_ordinary_programs_work():
    programs = [
        """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    assert sum(pool.map(abs, range(9))) == 36
""",
        """
import multiprocessing
def square(x):
    return x * x
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        assert pool.map(square, [2, 3]) == [4, 9]
""",
        "import numpy as np\nassert (np.ones((64, 64)) @ np.ones((64, 64))).sum() == 64**3",
        "open('/tmp/a', 'w').write('あ')\nassert open('a').read() == 'あ'",
        "import sys\nsys.setrecursionlimit(5000)\ndef f(n):\n    return n and f(n - 1)\nf(3000)",
        "import inspect\ndef f():\n    pass\nassert 'def f' in inspect.getsource(f)",
    ]
    runs = run_programs(programs)
    assert [run.output for run in runs if not run.finished] == []


def test_sets_print_in_the_same_order_every_time():
    program = "print({str(n) for n in range(50)})"
    assert len({run.output for run in run_programs([program] * 3)}) == 1


def test_there_is_no_network():
    program = """
import socket
import sys
for family, address in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "192.0.2.1")]:
    try:
        socket.create_connection((address, PORT), timeout=1)
        print("reached", address)
    except OSError:
        pass
print(sorted(name for _, name in socket.if_nameindex()))
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        run = _beside_good_ones(program.replace("PORT", str(server.getsockname()[1])))
    assert run.output == "['lo']\n"


def test_the_system_is_read_only_and_nothing_of_the_user_is_there(tmp_path):
    (tmp_path / "secret").write_text("hidden")
    paths = ["/x", "/usr/x", "/etc/x", "/dev/x", "/proc/sys/kernel/hostname", "/program.py"]
    program = f"""
import os
for path in {[*paths, str(tmp_path / "secret"), os.fspath(Path(__file__).parent / "x")]!r}:
    try:
        open(path, "a").write("x")
        print("wrote", path)
    except OSError:
        pass
for path in [{str(tmp_path / "secret")!r}, {__file__!r}, "/etc/passwd", "/etc/hostname"]:
    if os.path.exists(path):
        print("sees", path)
print(sorted(os.listdir("/tmp")), sorted(os.listdir("/home")) if os.path.exists("/home") else [])
"""
    # Of a Python environment that lies below /tmp or /home itself, the folder above it is seen.
    above = {
        top: [Path(prefix).relative_to(top).parts[0]]
        for prefix in (sys.prefix, sys.base_prefix)
        for top in ("/tmp", "/home")
        if Path(prefix).is_relative_to(top)
    }
    seen = f"{above.get('/tmp', [])} {above.get('/home', [])}\n"
    assert _beside_good_ones(program).output == seen
    assert (tmp_path / "secret").read_text() == "hidden"


def test_the_environment_and_the_processes_of_the_parent_are_out_of_sight(monkeypatch):
    monkeypatch.setenv("JAXLLM_TEST_SECRET", "hidden")
    program = f"""
import os, signal
print("JAXLLM_TEST_SECRET" in os.environ, [p for p in os.listdir("/proc") if p.isdigit()])
for pid in range(1, 64):
    try:
        assert b"hidden" not in open(f"/proc/{{pid}}/environ", "rb").read()
    except OSError:
        pass
for pid in [{os.getpid()}, os.getppid(), 1, -1]:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
print("alive")
"""
    assert _beside_good_ones(program).output == "False ['1', '2']\nalive\n"


def test_no_privilege_is_left_or_to_be_had():
    program = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":\\t") for line in open("/proc/self/status") if ":\\t" in line)
print(int(status["CapEff"], 16), status["NoNewPrivs"].strip(), os.getuid() == 0)
print(libc.unshare(0x10000000), libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
print(libc.memfd_create(b"x", 0), libc.ptrace(0, 0, 0, 0))
import resource
try:
    resource.setrlimit(resource.RLIMIT_NPROC, (4096, 4096))
    print("raised a limit")
except ValueError:
    pass
"""
    run = _beside_good_ones(program)
    root_here = os.geteuid() == 0
    assert run.output.splitlines()[0] == f"0 1 {False if root_here else os.getuid() == 0}"
    assert run.output.splitlines()[1:] == ["-1 -1", "-1 -1"]


def test_an_endless_loop_ends_by_its_processor_time():
    started = time.monotonic()
    run = _beside_good_ones("while True: pass")
    assert not run.finished
    assert time.monotonic() - started < 4


def test_a_program_that_waits_ends_by_the_clock():
    run = _beside_good_ones("import time; time.sleep(1000)", Limits(seconds=0.5))
    assert (run.finished, run.stopped) == (False, "stopped after 0.5 s")


def test_signals_do_not_hold_a_program_alive():
    program = """
import signal
for number in (signal.SIGXCPU, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
while True:
    pass
"""
    assert not _beside_good_ones(program).finished


def test_printing_forever_fills_nothing():
    run = _beside_good_ones("while True: print('x' * 1000)")
    assert not run.finished
    assert len(run.output) == 64 * 1024


def test_a_memory_bomb_is_refused_memory():
    run = _beside_good_ones("a = []\nwhile True: a.append(bytearray(10**7))")
    assert not run.finished
    assert "MemoryError" in run.output


def test_memory_of_many_processes_counts_together():
    program = """
import os, time
for _ in range(10):
    if os.fork() == 0:
        filled = b"x" * (60 * 10**6)
        time.sleep(60)
time.sleep(60)
"""
    run = _beside_good_ones(program)
    assert run.stopped == "stopped with more than 256 MiB in memory"


def test_a_fork_bomb_is_refused_processes():
    program = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
"""
    before = len(psutil.pids())
    run = _beside_good_ones(program, Limits(cpu_seconds=1, seconds=2))
    assert not run.finished
    assert len(psutil.pids()) < before + 100


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_no_disk_is_filled(folder):
    program = f"""
for index in range(100):
    open(f"{folder}/{{index}}", "wb").write(bytes(10**7))
"""
    run = _beside_good_ones(program)
    assert not run.finished
    assert "No space left" in run.output


def test_a_daemon_is_not_left_behind():
    program = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sys.stdin.close(); os.close(1); os.close(2)
        time.sleep(1000)
    os._exit(0)
"""
    before = _our_processes()
    assert _beside_good_ones(program).finished
    deadline = time.monotonic() + 5
    while _our_processes() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _our_processes() <= before


def test_without_bubblewrap_nothing_runs_and_the_score_is_missing(monkeypatch):
    sandbox.why_no_sandbox.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    try:
        with pytest.raises(MissingMetric, match="apt-get install bubblewrap"):
            get_metric("code_exec")
        with pytest.raises(sandbox.NoSandbox):
            run_programs(["pass"])
    finally:
        sandbox.why_no_sandbox.cache_clear()


def test_code_exec_runs_a_list_of_asserts_or_a_program_of_checks():
    good, bad = "def f(x):\n    return x + 1", "def f(x):\n    return x"
    checks = "['assert f(1) == 2', 'assert f(-1) == 0']"
    program = "def check(candidate):\n    assert candidate(1) == 2\n\ncheck(f)"
    leaves = f"{good}\nimport sys\nsys.exit(0)"
    scores = get_metric("code_exec")(
        [good, bad, leaves, good, bad, "", "１＋"],
        [checks, checks, checks, program, program, checks, checks],
    )
    assert scores.per_sample == (1, 0, 0, 1, 0, 0, 0)


# Of MBPP's first 400: a check that calls what the solution has overwritten, a docstring indented
# otherwise than its function, and two solutions that never gave what their checks want.
_WRONG_AS_PUBLISHED = {"MBPP/56", "MBPP/64", "MBPP/160", "MBPP/341", "MBPP/349", "MBPP/367"}


def _problems(raw_dir: Path, corpus: str) -> list[dict]:
    if corpus == "humaneval":
        text = gzip.decompress((raw_dir / "humaneval" / "HumanEval.jsonl.gz").read_bytes())
    else:
        text = (raw_dir / "mbpp" / "mbpp_release_v1.jsonl").read_bytes()
    return [json.loads(line) for line in text.splitlines()[:400]]


@pytest.mark.slow
@pytest.mark.parametrize("corpus", ["humaneval", "mbpp"])
def test_published_solutions_pass_and_broken_ones_fail(raw_dir, corpus):
    problems = _problems(raw_dir, corpus)
    programs = [problem["prompt"] + problem["canonical_solution"] for problem in problems]
    checks = [f"{problem['test']}\ncheck({problem['entry_point']})" for problem in problems]
    scores = get_metric("code_exec")(programs, checks).per_sample
    names = [problem["task_id"] for problem in problems]
    failing = {name for name, score in zip(names, scores, strict=True) if not score}
    assert failing == _WRONG_AS_PUBLISHED & set(names)
    broken = [f"def {problem['entry_point']}(*_):\n    return ...\n" for problem in problems[:40]]
    assert get_metric("code_exec")(broken, checks[:40]).mean == 0
