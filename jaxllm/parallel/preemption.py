"""SIGTERM as a wish: save what there is and go, all processes after the same piece of work."""

from __future__ import annotations

import signal
import threading
from types import TracebackType
from typing import Any

import jax
from jax.experimental import multihost_utils

TERMINATED = 143  # 128 + SIGTERM, as a shell reports it


class Preempted(SystemExit):
    """Ends a program that was asked to go."""


class Preemption:
    """Notices SIGTERM while it is entered.

    All processes ask `is_due` equally often, between the same pieces of work; a signal to one of
    them comes to all, and they learn of it together. Once due it stays due.
    """

    def __init__(self) -> None:
        self._asked = self._due = False
        self._count = 0
        self._before: Any = None

    def raise_if_due(self) -> None:
        """Asks `is_due` from amidst some work, and gives it up."""
        if self.is_due():
            raise Preempted

    def is_due(self) -> bool:
        """Whether to save and go now."""
        if not self._due:
            self._count += 1
            alone = jax.process_count() == 1
            self._due = (
                self._asked if alone else multihost_utils.reached_preemption_sync_point(self._count)
            )
        return self._due

    def __enter__(self) -> Preemption:
        # Of several processes JAX itself catches the signal. Python does it in its main thread.
        if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_: object) -> None:
        self._asked = True
