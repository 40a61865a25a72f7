"""`scipy.special`, imported when the first of its functions is called: it takes 0.1 s.

In: a function's name, as an attribute of this module. Out: a function that calls SciPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)

    found: Callable[..., Any] | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal found
        if found is None:
            from scipy import special

            found = getattr(special, name)
        return found(*args, **kwargs)

    call.__name__ = name
    return call
