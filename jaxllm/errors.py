"""The one exception that is the user's to mend."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in a flag, a config or a file, told in one sentence with the value that works.

    The command line prints it without a traceback and exits with status 2.
    """


class MissingData(UserError):
    """Data that is not here: a suite goes on without the task and says so."""
