"""The garbage collector waits while many objects of a graph are made at once.

In: the work, as the body of a `with` under the graph's lock. Out: nothing.
Holds: graphs have no cycles, so a collection in the middle of such work finds nothing, and walks all that was made
until then: a third of the time of a gradient through 1000 calls. It comes afterwards, once. The engine's runs, which
may be long, are no part of such work. A process that has switched the collector off is left as it is.
"""

from __future__ import annotations

import gc


class _Waiting:
    """Off while entered, however deep. Ctrl-C between two statements leaves it to the next one who enters to put back
    what was."""

    def __init__(self) -> None:
        self.depth = 0
        self.is_off = self.was_on = False

    def __enter__(self) -> None:
        if not self.depth and not self.is_off:
            self.was_on = gc.isenabled()
            self.is_off = True
            gc.disable()
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        if not self.depth:
            if self.was_on:
                gc.enable()
            self.is_off = False


#: Guarded by `nbgraph.trace.LOCK`.
WAITING = _Waiting()
