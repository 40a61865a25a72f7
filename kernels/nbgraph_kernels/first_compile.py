"""The first compile of a process, and the garbage collector.

In:    the first compile, as the body of a `with`; later ones pass through.
Out:   nothing.
Holds: numba's objects, some 120,000 after the first compile, live as long as the process: they are frozen, once,
       lest every full collection walk them in the middle of a user's loop. What was garbage before is collected
       first, while the heap is small. A process that has switched the collector off is left as it is.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from .locks import lock

_LOCK = lock()
_begun = False


@contextmanager
def first_compile() -> Iterator[None]:
    """Around whatever imports numba and compiles."""
    global _begun
    with _LOCK:
        first, _begun = not _begun and gc.isenabled(), True
    if not first:
        yield
        return
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
