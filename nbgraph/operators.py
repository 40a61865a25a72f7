"""The methods behind the operators of a tensor: the hot path of recording.

In: the name of an operation. Out: a method for `self op other` (`forward`) or `other op self` (`reflected`), a function
for `array op self` (`after`).
Holds: tensors of one inexact dtype, and such a tensor with a Python number or an array of it, are recorded at once;
everything else goes through the function of that name. Operands whose class wants to deal with the operation itself get
their chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy import ndarray

from nbgraph import api
from nbgraph.leaves import array_constant
from nbgraph.node import Node
from nbgraph.op import REGISTRY, Op
from nbgraph.promote import SCALARS, new_weak, record2
from nbgraph.trace import RECORDING

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor

_NUMBERS = frozenset((float, int))
Method = Callable[[Any, Any], Any]


def forward(name: str) -> Method:
    """The method for `self op other`: straight to recording where the dtypes agree, else by the function."""
    op: Op = REGISTRY[name]()
    general: Any = getattr(api, name)

    def method(self: TracedTensor, other: Any) -> TracedTensor:
        if type(other) is type(self):
            make = RECORDING.make  # what it knows was recorded on operands of just these types
            if make is not None and (made := make(op, self, other)) is not None:
                return made  # type: ignore[no-any-return]
        t = self.type
        if t.inexact:
            if type(other) is type(self):
                if other.type.code == t.code:
                    return record2(op, self, other)
            elif type(other) in _NUMBERS:
                number = SCALARS.get((other, t.code))
                return record2(op, self, new_weak(other, t.code) if number is None else number)
            elif type(other) is ndarray and other.dtype is t.dtype:
                return record2(op, self, array_constant(other))
        return NotImplemented if defers(other) else general(self, other)

    return method


def reflected(name: str) -> Method:
    """The method for `other op self`."""
    op: Op = REGISTRY[name]()
    general: Any = getattr(api, name)

    def method(self: TracedTensor, other: Any) -> TracedTensor:
        t = self.type
        if t.inexact and type(other) in _NUMBERS:
            number = SCALARS.get((other, t.code))
            return record2(op, new_weak(other, t.code) if number is None else number, self)
        return NotImplemented if defers(other) else general(other, self)

    return method


def after(name: str) -> Method:
    """The function for `array op tensor`, which NumPy asks for (`nbgraph.dispatch`); of any two operands."""
    op: Op = REGISTRY[name]()
    general: Any = getattr(api, name)

    def function(a: Any, b: Any) -> TracedTensor:
        if type(a) is ndarray and isinstance(b, Node) and b.type.inexact and a.dtype is b.type.dtype:
            return record2(op, array_constant(a), b)
        made: TracedTensor = general(a, b)
        return made

    return function


def bitwise(name: str, reflected: bool = False) -> Method:
    """The method for `&`, `|`, `^`, `<<` or `>>`: of integers, the first three of booleans too."""
    general: Any = getattr(api, name)

    def method(self: TracedTensor, other: Any) -> TracedTensor:
        if defers(other):
            return NotImplemented  # type: ignore[no-any-return]
        made: TracedTensor = general(other, self) if reflected else general(self, other)
        return made

    return method


def changing(name: str, instead: str) -> Any:
    """A method of NumPy's that changes an array in place: it says what to write instead."""

    def method(self: TracedTensor, *args: Any, **kwargs: Any) -> None:
        raise TypeError(f"a TracedTensor cannot be changed in place: use x = {instead} instead of x.{name}")

    method.__name__ = name
    return method


def defers(other: Any) -> bool:
    """Whether the other operand's class wants to, or has to, deal with the operation."""
    return other is None or isinstance(other, str | bytes) or getattr(other, "__array_ufunc__", other) is None
