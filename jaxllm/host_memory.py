"""The C library's allocator, told to keep what it has.

XLA:CPU allocates room for a program's intermediate results at every call. By default glibc hands so
large a block back to the system as soon as it is free, and the system clears every page of it again
at the next call: `exp` of 64 MB took 24 ms, of which 20 were that.
"""

from __future__ import annotations

import ctypes

# <malloc.h> of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_KEPT_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Lets the process keep up to 2 GB of freed memory; says whether the C library can.

    All threads then allocate from one heap, and large blocks too: only there they are used again.
    Call it before the first computation.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # not glibc
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEPT_BYTES))
    return all(mallopt(name, value) == 1 for name, value in settings)
