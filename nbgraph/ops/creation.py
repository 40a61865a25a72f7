"""Values computed from sizes alone: iota, eye, the value of a size.

In: no operands; sizes as run-time words. Out: arrays of a dtype that is a parameter.
A dimension that is literally 1 is a parameter too, as it broadcasts; the other dimensions are sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph.errors import ShapeError
from nbgraph.kinds import Source
from nbgraph.op import Op, Sample, Sizes
from nbgraph.types import DTYPES, Shape, Size, TensorType, code_of


def _code(kwargs: dict[str, Any]) -> str:
    code = kwargs.get("code")
    return code if code is not None else code_of(kwargs.get("dtype") or "f8")


def _check(name: str, *sizes: Size) -> None:
    for n in sizes:
        if isinstance(n, int) and n < 0:
            raise ShapeError("negative size", operation=name, got=n, wanted="a size >= 0")


@final
class Iota(Source):
    """0, 1, ..., n - 1 in dtype `code`; `one` says that n is literally 1."""

    name = "iota"
    params = ("code", "one")
    code: str
    one: bool

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        n = kwargs["n"]
        return cls(_code(kwargs), n == 1), () if n == 1 else (n,)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        _check(self.name, *sizes)
        return TensorType(self.code, (1,) if self.one else (sizes[0],))

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.arange(1 if self.one else sizes[0]).astype(self.code)

    def element(self, code: str, index: Sequence[str], sizes: Sequence[str]) -> str:
        return f"({index[0]} != 0)" if self.code == "b1" else f"{DTYPES[self.code].name}({index[0]})"

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        yield Sample(cls(code, True), ())
        for n in (0, 2, 5):
            yield Sample(cls(code, False), (), (n,))


@final
class Eye(Source):
    """A matrix with ones on the k-th diagonal.

    Sizes: the dimensions that are not literally 1 (`ones` says which are), then k, which may be negative.
    """

    name = "eye"
    params = ("code", "ones")
    code: str
    ones: tuple[bool, bool]

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        n, m = kwargs["n"], kwargs.get("m")
        shape = (n, n if m is None else m)
        ones = tuple(d == 1 for d in shape)
        return cls(_code(kwargs), ones), (*(d for d in shape if d != 1), kwargs.get("k", 0))

    def _shape(self, sizes: Shape) -> Shape:
        given = iter(sizes)
        return tuple(1 if one else next(given) for one in self.ones)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        shape = self._shape(sizes)
        _check(self.name, *shape)
        return TensorType(self.code, shape)

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        n, m = self._shape(sizes)
        rows, cols = np.arange(n)[:, None], np.arange(m)[None, :]  # type: ignore[arg-type]
        # Compared rather than np.eye, which refuses diagonals far outside.
        return (cols == rows + sizes[-1]).astype(self.code)

    def element(self, code: str, index: Sequence[str], sizes: Sequence[str]) -> str:
        on = f"({index[1]} - {index[0]} == {sizes[-1]})"
        dtype = DTYPES[self.code].name
        return on if self.code == "b1" else f"({dtype}(1) if {on} else {dtype}(0))"

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for shape in ((3, 4), (4, 1), (1, 3), (1, 1), (0, 2)):
            ones = tuple(d == 1 for d in shape)
            for k in (0, 1, -2):
                yield Sample(cls(code, ones), (), (*(d for d in shape if d != 1), k))


@final
class SizeValue(Source):
    """A size as a 0-d value of dtype `code`."""

    name = "size_value"
    params = ("code",)
    code: str

    @classmethod
    def bind(cls, types: Sequence[TensorType], **kwargs: Any) -> tuple[Op, Shape]:
        return cls(_code(kwargs)), (kwargs["n"],)

    def infer(self, cx: Sizes, ins: Sequence[TensorType], sizes: Shape) -> TensorType:
        return TensorType(self.code, ())

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.array(sizes[0]).astype(self.code)

    def element(self, code: str, index: Sequence[str], sizes: Sequence[str]) -> str:
        return f"({sizes[0]} != 0)" if self.code == "b1" else f"{DTYPES[self.code].name}({sizes[0]})"

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        for n in (0, 1, 7):
            yield Sample(cls(code), (), (n,))
