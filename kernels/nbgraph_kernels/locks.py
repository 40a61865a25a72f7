"""Locks that a forked process finds free.

In:    nothing.
Out:   a reentrant lock.
Holds: a process that is forked while another thread is inside of a lock could never enter it: that thread is not in it.
       So all of these are free in it, but for what the forking thread holds itself. Before the fork those that guard
       what must not be seen half-made (the graph, imports of the compiler, LLVM) are waited for. They are reentrant,
       since a signal's handler and a finaliser run in the middle of anything, and may use the library.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

T = TypeVar("T")
#: Seconds that a fork waits for a lock. (Whoever is inside might wait for the thread that forks.)
PATIENCE = 10.0
_LOCKS: WeakSet[Any] = WeakSet()
#: Those that a fork waits for, by number; those that one has taken, by thread.
_AWAITED: dict[int, Any] = {}
_TAKEN: dict[int, list[Any]] = {}


def lock(awaited: int | None = None) -> Any:
    """A lock (`threading.RLock`). With a number a fork waits until nobody is inside of it: threads that take several
    take those with smaller numbers first."""
    made = threading.RLock()
    _LOCKS.add(made)
    if awaited is not None:
        _AWAITED[awaited] = made
    return made


class cached_property(functools.cached_property[T]):
    """As Python's, which has a lock before 3.12."""

    def __init__(self, func: Callable[[Any], T]) -> None:
        super().__init__(func)
        if "lock" in vars(self):
            vars(self)["lock"] = lock()


def in_forked_process(function: Callable[[], Any]) -> None:
    """Has a function called in every process that is forked from this one."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def _before() -> None:
    taken = _TAKEN[threading.get_ident()] = []
    for _, each in sorted(_AWAITED.items()):
        if each.acquire(timeout=PATIENCE):
            taken.append(each)


def _after() -> None:
    for each in _TAKEN.pop(threading.get_ident(), ()):
        each.release()


def _after_in_child() -> None:
    _after()
    for each in list(_LOCKS):
        if not each._is_owned():
            each._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
