"""The folder of a site: it appears whole or not at all, and replaces nothing but a site."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from etils import epath

import jaxllm
from jaxllm.errors import UserError

MARKER = "jaxllm-site.json"
_SCHEMA = "jaxllm.site/1"


@contextlib.contextmanager
def whole_site(out: epath.Path) -> Iterator[epath.Path]:
    """A folder to write a site into, which becomes `out` when the block ends without an error.

    A site that stands there is replaced. Raises UserError where anything else does, or where the
    folder cannot be written.
    """
    check_place(out)
    unfinished = out.parent / f".{out.name}.unfinished"
    older = out.parent / f".{out.name}.older"
    if older.exists() and not out.exists():
        older.rename(out)  # killed between the two names
    for leftover in (unfinished, older):
        if leftover.exists():
            leftover.rmtree()
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        marker = {"schema": _SCHEMA, "version": jaxllm.__version__}
        (unfinished / MARKER).write_text(json.dumps(marker) + "\n")
    except BaseException as error:
        if unfinished.exists():
            unfinished.rmtree()
        if isinstance(error, OSError):
            raise UserError(f"--site={out} cannot be written: {error}") from error
        raise
    if out.exists():
        out.rename(older)
    unfinished.rename(out)
    if older.exists():
        older.rmtree()


def check_place(out: epath.Path) -> None:
    """Raises UserError where a site must not be written: files that are no site stand there."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        is_ours = json.loads((out / MARKER).read_bytes())["schema"] == _SCHEMA
    except (OSError, ValueError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        raise UserError(
            f"--site={out} holds something that is no site of jaxllm, and is left as it is; name a "
            "new or an empty folder"
        )
