"""One function in several processes, its results in the order of what they were made from.

The processes are plain children that read pickles, not those of `multiprocessing`: forking is not
safe beside JAX's threads, and spawning runs the user's script again in every child.
"""

from __future__ import annotations

import collections
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from jaxllm.errors import UserError

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_CHILD = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from jaxllm.input.workers import serve; serve()"
)
_AHEAD = 2  # pieces of work for each process that wait or are done


def num_cpus() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


class Workers(Generic[_In, _Out]):
    """`count` processes that apply a function; use it in a `with`.

    The function, what it takes and what it returns must be picklable, and the module it stands in
    importable without JAX: a child must not ask for the accelerator.
    """

    def __init__(self, function: Callable[[_In], _Out], count: int) -> None:
        self._function = pickle.dumps(function)
        self._count = count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="worker")
        self._mine = threading.local()  # the child of a thread
        self._children: list[subprocess.Popen[bytes]] = []

    def map(self, items: Iterable[_In]) -> Iterator[_Out]:
        """Yields the function's result of each item, in order.

        Raises what the function raises, and UserError where a process was killed.
        """
        rest = iter(items)
        pending: collections.deque[Future[_Out]] = collections.deque()
        for item in itertools.islice(rest, self._count * _AHEAD):
            pending.append(self._threads.submit(self._ask, item))
        while pending:
            yield pending.popleft().result()
            for item in itertools.islice(rest, 1):
                pending.append(self._threads.submit(self._ask, item))

    def __enter__(self) -> Workers[_In, _Out]:
        return self

    def __exit__(self, *exception: object) -> None:
        for child in self._children:
            child.kill()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.communicate()

    def _ask(self, item: _In) -> _Out:
        child = getattr(self._mine, "child", None)
        if child is None:
            child = self._mine.child = self._start()
        assert child.stdout is not None  # it is a pipe
        try:
            _send(child.stdin, pickle.dumps(item))
            succeeded, result = pickle.load(child.stdout)
        except (BrokenPipeError, EOFError) as error:
            status = child.wait()
            raise UserError(
                f"a process that prepares data ended with status {status}"
                f"{' (killed, as for want of memory)' if status < 0 else ''}; start again, with "
                "more memory"
            ) from error
        if not succeeded:
            raise result
        return result

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._children.append(child)
        _send(child.stdin, pickle.dumps(sys.path))
        _send(child.stdin, self._function)
        return child


def serve() -> None:
    """What a child does: it applies the function it reads to all that follows, until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no result
    function = pickle.load(sys.stdin.buffer)
    while True:
        try:
            item = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        outcome = pickle.dumps(_outcome(function, item), protocol=pickle.HIGHEST_PROTOCOL)
        try:
            _send(results, outcome)
        except BrokenPipeError:
            os._exit(1)  # the parent is gone, and nobody is left to be told


def _outcome(function: Callable[[Any], Any], item: Any) -> tuple[bool, Any]:
    try:
        return True, function(item)
    except UserError as error:
        return False, error
    except Exception as error:
        error.add_note(f"in a process that prepares data: {traceback.format_exc()}")
        return False, error


def _send(stream: Any, data: bytes) -> None:
    stream.write(data)
    stream.flush()
