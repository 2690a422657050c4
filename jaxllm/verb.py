"""What every verb module shares: how it ends as a command, and how it is called as a function.

A verb module `jaxllm/<verb>.py` holds a function of its own name and a `main`, and closes with:

    sys.modules[__name__].__class__ = Verb  # jaxllm.<verb>(...) calls <verb>(...)

    if __name__ == "__main__":
        sys.exit(run_verb(main))
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from jaxllm.errors import UserError
from jaxllm.host_memory import restart_with_large_pages

_USER_ERROR = 2
_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
_BROKEN_PIPE = 141  # 128 + SIGPIPE


class Verb(types.ModuleType):
    """A module that can be called like the function it is named for.

    `jaxllm.train` is the module as soon as anything has imported it; being callable, it makes
    `jaxllm.train(config, workdir)` and `from jaxllm.train import train` both work, in any order.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def run_verb(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Runs a verb's `main` and returns the exit status of the process.

    A `UserError` becomes one line on stderr and status 2, Ctrl-C status 130, and a reader that went
    away (`jaxllm report | head`) ends it quietly. Other exceptions are ours and keep their trace.
    """
    if argv is None:  # the command line's: this process is the verb's own
        restart_with_large_pages()
    try:
        status = main(argv)
        sys.stdout.flush()
    except UserError as error:
        # One write: threads that log at the same moment must not come between text and newline.
        sys.stderr.write(f"error: {error}\n")
        return _USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit; with nobody reading, that must go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return status
