"""Writing a folder so that it appears whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
from etils import epath

from jaxllm.errors import UserError


@contextlib.contextmanager
def whole_folder(
    folder: str | epath.PathLike, *, overwrite: bool = False
) -> Iterator[epath.Path | None]:
    """A folder to write into, renamed to `folder` when the block ends without an error.

    Yields None on all processes but the first: they take part in collectives and write nothing.

    Raises:
        UserError: `folder` holds something and `overwrite` is false.
    """
    final = epath.Path(folder)
    if final.exists() and not overwrite and (not final.is_dir() or any(final.iterdir())):
        raise UserError(f"{final} is not empty; choose another folder, or give --overwrite")
    if jax.process_index() != 0:
        yield None
        return
    target = final.parent / f".{final.name}.partial"
    if target.exists():
        target.rmtree()  # what an interrupted run left behind
    target.mkdir(parents=True)
    try:
        yield target
    except BaseException:
        target.rmtree()
        raise
    if final.exists():
        final.rmtree() if final.is_dir() else final.unlink()
    target.rename(final)
