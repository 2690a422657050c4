"""Which programs were compiled, for which shapes, and how long it took.

`WORKDIR/compiles/000000.jsonl` has a row for each: `{"time": 1.7e9, "program": "jit(step)",
"seconds": 8.9, "cached": false, "shapes": ["float32[8,128]"]}`. A program that comes twice with
different shapes is what makes a run slow without a word; `cached` ones were read from disk.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
from etils import epath

from jaxllm.observe.segments import Segment

_COMPILED = "/jax/core/compile/backend_compile_duration"
_CACHE_HIT = "/jax/compilation_cache/cache_hits"
# JAX's events have no shapes; what it logs before it compiles has.
_LOGGER = "jax._src.interpreters.pxla"
_MOST_SHAPES = 64


@contextlib.contextmanager
def compiles_recorded(
    workdir: epath.PathLike, tell: Callable[[float], None] = lambda seconds: None
) -> Iterator[None]:
    """Leaves a row for each program that is compiled in this block; `tell` gets its seconds."""
    segment = Segment(epath.Path(workdir) / "compiles")
    shapes = _Shapes()
    seen = threading.local()  # what the program that this thread compiles was found in
    guard = threading.Lock()

    def on_event(event: str, **_: Any) -> None:
        if event == _CACHE_HIT:
            seen.cached = True

    def on_duration(event: str, duration_secs: float, **about: Any) -> None:
        if event != _COMPILED:
            return
        program = str(about.get("fun_name", ""))
        row = {
            "time": round(time.time(), 3),
            "program": program,
            "seconds": round(duration_secs, 4),
            "cached": getattr(seen, "cached", False),
            "shapes": shapes.of(program),
        }
        seen.cached = False
        with guard:
            segment.write(row)
        tell(duration_secs)

    jax.monitoring.register_event_listener(on_event)
    jax.monitoring.register_event_duration_secs_listener(on_duration)
    with shapes.listening():
        try:
            yield
        finally:
            jax.monitoring.unregister_event_listener(on_event)
            jax.monitoring.unregister_event_duration_listener(on_duration)
            segment.close()


class _Shapes(logging.Handler):
    """Remembers the argument shapes that JAX logs as it begins to compile."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._mine = threading.local()
        self._logger = logging.getLogger(_LOGGER)
        self._level = logging.WARNING  # from which on others hear of it

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= self._level and self._logger.parent is not None:
            self._logger.parent.handle(record)
        if str(record.msg).startswith("Compiling ") and isinstance(record.args, tuple):
            program, arguments, *_ = (*record.args, ())
            known: list[Any] = list(arguments) if isinstance(arguments, (tuple, list)) else []
            self._mine.program = str(program)
            self._mine.shapes = [
                one.str_short() if hasattr(one, "str_short") else str(one)
                for one in known[:_MOST_SHAPES]
            ]

    def of(self, program: str) -> list[str]:
        """The shapes of the program that this thread has just compiled; [] where none are known."""
        mine = self._mine
        return mine.shapes if getattr(mine, "program", None) == program else []

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        # JAX logs shapes below the level that anyone listens to: only this handler is to hear more.
        level, propagates = self._logger.level, self._logger.propagate
        self._level = self._logger.getEffectiveLevel()
        self._logger.setLevel(logging.DEBUG)
        self._logger.propagate = False
        self._logger.addHandler(self)
        try:
            yield
        finally:
            self._logger.removeHandler(self)
            self._logger.propagate = propagates
            self._logger.setLevel(level)
