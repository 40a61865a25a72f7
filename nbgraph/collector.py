"""When the garbage collector waits, and what it need not walk.

In: the making of many objects of a graph at once, as the body of a `with` under the graph's lock; the end of the import
of nbgraph. Out: nothing.
Holds: graphs have no cycles, so a collection in the middle of such work finds nothing, and walks all that was made
until then: a third of the time of a gradient through 1000 calls. It comes afterwards, once. The engine's runs, which
may be long, are no part of such work. Of what is there when nbgraph has been imported, modules and classes, nothing
ever becomes garbage. A process that has switched the collector off is left as it is.
"""

from __future__ import annotations

import gc
import weakref
from typing import ClassVar


class Waiting:
    """The context of such work. The outermost one puts back what was as it is left; where Ctrl-C comes just then, the
    next one does that. Guarded by `nbgraph.node.LOCK`."""

    __slots__ = ("__weakref__",)
    #: The one that switched the collector off; it is gone where it was interrupted.
    _first: ClassVar[weakref.ref[Waiting] | None] = None

    def __enter__(self) -> None:
        if gc.isenabled() or (Waiting._first is not None and Waiting._first() is None):
            Waiting._first = weakref.ref(self)
            gc.disable()

    def __exit__(self, *_: object) -> None:
        if Waiting._first is not None and Waiting._first() is self:
            gc.enable()
            Waiting._first = None


#: So many objects are tracked where hardly anything but modules has been made: Python, NumPy and nbgraph make 32,000,
#: IPython with them 100,000.
YOUNG = 50_000


def freeze_imports() -> None:
    """Takes what importing has made out of what the collector walks, unless the process has been at work before.

    Python walks all of it several times at its end (0.1 s), and in the middle of a loop with every full collection.
    """
    if gc.isenabled() and not gc.get_freeze_count() and len(gc.get_objects()) < YOUNG:
        gc.freeze()
