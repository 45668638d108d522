"""Large temporary tensors without a system call each: the process keeps the memory that it has freed.

A decoding step makes and frees a few tensors as large as rows times vocabulary. By default the C library gives such
memory back to the system at once and gets fresh pages, zeroed one by one, a moment later: with 80 rows that was a
quarter of the time of a step. Does nothing where the C library is not glibc.
"""

from __future__ import annotations

import ctypes
import functools

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
KEPT = 256 * 2**20
"""Bytes of freed memory at the end of the heap that are kept for the next step."""


@functools.cache
def _c_library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):
        return None


def keep_freed_memory() -> None:
    """Give back what loading has left over, then keep what steps free; call it once the weights are in place."""
    library = _c_library()
    if library is None:
        return
    library.malloc_trim(0)
    library.mallopt(_MMAP_THRESHOLD, 32 * 2**20)  # the largest that glibc takes
    library.mallopt(_TRIM_THRESHOLD, KEPT)
    library.mallopt(_ARENA_MAX, 1)  # one heap: that of a second thread would be given back piece by piece
