"""`x.at[index]`: a tensor with a region changed, as a new tensor.

In: a tensor, an index, values. Out: a tensor of the same shape and dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbgraph import api
from nbgraph.api.indexing import getitem, setitem

if TYPE_CHECKING:
    from nbgraph.tensor import TracedTensor


class At:
    """`x.at`."""

    __slots__ = ("x",)

    def __init__(self, x: TracedTensor) -> None:
        self.x = x

    def __getitem__(self, index: Any) -> Region:
        return Region(self.x, index)


class Region:
    """`x.at[index]`."""

    __slots__ = ("index", "x")

    def __init__(self, x: TracedTensor, index: Any) -> None:
        self.x, self.index = x, index

    def set(self, value: Any) -> TracedTensor:
        """x with the region replaced by value."""
        return setitem(self.x, self.index, value)

    def add(self, value: Any) -> TracedTensor:
        """x with value added to the region; where an index occurs several times, that often."""
        return setitem(self.x, self.index, value, "add")

    def mul(self, value: Any) -> TracedTensor:
        """x with the region multiplied by value; where an index occurs several times, that often."""
        return setitem(self.x, self.index, value, "mul")

    def max(self, value: Any) -> TracedTensor:
        """x with the larger of the region and value."""
        return setitem(self.x, self.index, value, "max")

    def min(self, value: Any) -> TracedTensor:
        """x with the smaller of the region and value."""
        return setitem(self.x, self.index, value, "min")

    multiply = mul

    def subtract(self, value: Any) -> TracedTensor:
        """x with value subtracted from the region; where an index occurs several times, that often."""
        return self.add(api.negative(value))

    def divide(self, value: Any) -> TracedTensor:
        """x with the region divided by value; where an index occurs several times, that often."""
        return self.mul(api.reciprocal(value))

    def power(self, value: Any) -> TracedTensor:
        """x with the region to the power of value."""
        return self.set(api.power(self.get(), value))

    def apply(self, function: Any) -> TracedTensor:
        """x with the region replaced by a function of it."""
        return self.set(function(self.get()))

    def get(self) -> TracedTensor:
        """The region, x[index]."""
        return getitem(self.x, self.index)
