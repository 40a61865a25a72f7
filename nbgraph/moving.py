"""Words that no size of a value depends on, such as where a slice begins: they move from step to step of a loop.

In: a fragment; sizes made of words. Out: which words those are; sizes as one generated function of words, since what
has to be made anew at each step is made by a few operations on ints, not by walks of expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from nbgraph.dims import symbols, to_source
from nbgraph.errors import GENERATED
from nbgraph.fragment import Fragment
from nbgraph.types import Size


def words_of_sizes(fragment: Fragment) -> tuple[int, ...]:
    """The words that the size of a value depends on."""
    found: tuple[int, ...] | None = fragment.cache.get("words of sizes")
    if found is None:
        found = fragment.cache["words of sizes"] = words_in(d for t in fragment.types for d in t.shape)
    return found


def moving_words(fragment: Fragment) -> tuple[int, ...]:
    """The others."""
    found: tuple[int, ...] | None = fragment.cache.get("moving words")
    if found is None:
        sizes = words_of_sizes(fragment)
        found = fragment.cache["moving words"] = tuple(k for k in range(fragment.n_words) if k not in sizes)
    return found


def words_in(sizes: Iterable[Size]) -> tuple[int, ...]:
    """The words in sizes, in order."""
    names = {name for d in sizes for name in symbols(d)}
    return tuple(sorted(name[1] for name in names if isinstance(name, tuple) and name[0] == "w"))


@lru_cache(maxsize=4096)
def function_of_words(sizes: tuple[Any, ...], words: tuple[int, ...]) -> Callable[..., Any]:
    """A function of those words that gives the sizes; where an entry is a tuple of sizes, a tuple.

    >>> from nbgraph.dims import dim
    >>> w = dim(("w", 3))
    >>> function_of_words((w + 1, (2, 8 * w)), (3,))(5)
    (6, (2, 40))
    """
    text = f"lambda {', '.join(f'w{k}' for k in words)}: {_text(sizes)}"
    made: Callable[..., Any] = eval(compile(text, GENERATED, "eval"), {"min": min, "max": max})
    return made


def _text(size: Any) -> str:
    if isinstance(size, tuple):
        return f"({''.join(f'{_text(s)}, ' for s in size)})"
    return to_source(size, lambda name: f"w{name[1]}")
