"""A program being compiled: one LLVM module, and the helpers and libraries that its functions use.

In:    functions' code and the types of their arguments. Out: the module; texts of modules to be linked.
Holds: a helper is compiled once for each set of argument types in a program; it stays a function until LLVM inlines it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from .source import code_of
from .types import Type


class Intrinsic:
    """What code may call that appends instructions itself: `emit(cx, *values)` gives the result. `cx` is the walk.

    `meaning`: what it does where Python runs the code; without one it is for compiled code alone.
    """

    __slots__ = ("emit", "meaning")

    def __init__(self, emit: Callable[..., Any], meaning: Callable[..., Any] | None = None) -> None:
        self.emit, self.meaning = emit, meaning

    def __call__(self, *values: Any) -> Any:
        if self.meaning is None:
            raise TypeError(f"{self.emit.__name__} has a meaning in compiled code alone")
        return self.meaning(*values)


def intrinsic(emit: Callable[..., Any], meaning: Callable[..., Any] | None = None) -> Any:
    """Decorator: an `Intrinsic`."""
    return Intrinsic(emit, meaning)


class Helper:
    """A function that other functions may call by position, Python's among them."""

    __slots__ = ("apart", "flags", "function", "inline", "noalias")

    def __init__(self, function: Any, flags: tuple[str, ...], noalias: bool, apart: bool, inline: bool) -> None:
        self.function, self.flags, self.noalias, self.apart, self.inline = function, flags, noalias, apart, inline

    def __call__(self, *values: Any) -> Any:
        return self.function(*values)


def helper(
    function: Callable[..., Any], fastmath: Any = (), noalias: bool = False, apart: bool = False, inline: bool = False
) -> Any:
    """Decorator: a function that compiled functions may call; `fastmath`, LLVM's flags by name, holds inside it.

    `noalias` promises that no two of its pointers lead to the same memory, so that it vectorises without checks.
    `apart`: it stays a function, which compiles once wherever it is called. `inline`: it never does, even where nothing
    else is optimised.
    """
    return Helper(function, tuple(sorted(fastmath)), noalias, apart, inline)


class Compiled:
    """A function of the module: LLVM's, the type of its result, whether it calls something long."""

    __slots__ = ("function", "is_long", "result")

    def __init__(self, function: Any, result: Type, is_long: bool) -> None:
        self.function, self.result, self.is_long = function, result, is_long


class Program:
    """The module."""

    def __init__(self, name: str) -> None:
        self.module: Any = ir.Module(name)
        #: Modules to be linked in: objects with a `name` and a `text`.
        self.libraries: dict[str, Any] = {}
        #: Metadata of the module, kept by whoever made it.
        self.metadata: dict[str, Any] = {}
        self._helpers: dict[Any, Compiled] = {}
        self._count = 0

    def new_name(self, name: str) -> str:
        """A name that no function of the module has had yet."""
        self._count += 1
        return f"{name}.{self._count}"

    def interleaved(self, turns: int) -> Any:
        """What tells LLVM how many turns of a loop to interleave: a node of the loop's own, which names itself."""
        self._count += 1
        name = ir.MetaDataString(self.module, "llvm.loop.interleave.count")
        count = self.module.add_metadata([name, ir.IntType(32)(turns)])
        node = self.module.add_metadata([ir.MetaDataString(self.module, f"nbgraph loop {self._count}")])
        node.operands = (node, count)
        return node

    def function(self, code: Any, arguments: tuple[Type, ...], result: Type, flags: Any, name: str) -> Any:
        """Adds a function that is seen from outside, with a result of a type that is known."""
        from .walk import walked

        function = walked(self, code_of(code), arguments, tuple(sorted(flags)), result=result).function
        function.name = name
        return function

    def helper(self, helper: Helper, arguments: tuple[Type, ...]) -> Compiled:
        """A helper for arguments of these types."""
        key = helper, arguments
        found = self._helpers.get(key)
        if found is None:
            from .walk import walked

            code = code_of(helper.function)
            found = self._helpers[key] = walked(self, code, arguments, helper.flags, helper.noalias)
            found.function.linkage = "internal"
            if helper.apart or helper.inline:
                found.function.attributes.add("noinline" if helper.apart else "alwaysinline")
        return found
