"""Tensor types: a dtype and a shape.

In: dtypes and sizes (ints, or `DimExpr` where a size is known only at run time).
Out: `TensorType`, interned: equal types are one object, so they compare and hash by identity, which keeps
recording an operation cheap. `TypeClass` is what of a type belongs to a structural key: dtype, rank, and
which dimensions are 1 (and so broadcast); no other size.
"""

from __future__ import annotations

import math
import weakref
from typing import Any, ClassVar

import numpy as np

from nbgraph.dims import DimExpr
from nbgraph.errors import DtypeError
from nbgraph_kernels.locks import lock

Size = int | DimExpr
Shape = tuple[Size, ...]

#: The supported dtypes by their short code.
DTYPES: dict[str, np.dtype[Any]] = {c: np.dtype(c) for c in ("b1", "i4", "i8", "f4", "f8", "c8", "c16")}
CODES: dict[np.dtype[Any], str] = {d: c for c, d in DTYPES.items()}
REAL_OF = {"c8": "f4", "c16": "f8"}
COMPLEX_OF = {"f4": "c8", "f8": "c16"}

_LOCK = lock()


def code_of(dtype: Any) -> str:
    """The short code of a supported dtype, else `DtypeError`.

    >>> code_of("float64")
    'f8'
    """
    try:
        return CODES[np.dtype(dtype)]
    except (KeyError, TypeError):
        names = " ".join(str(d) for d in CODES)
        raise DtypeError("unsupported dtype", got=dtype, wanted=f"one of {names}") from None


class TypeClass:
    """What of a type is structure: dtype code and, for each dimension, whether it is literally 1."""

    __slots__ = ("code", "ones")
    _table: ClassVar[dict[tuple[str, tuple[bool, ...]], TypeClass]] = {}

    code: str
    ones: tuple[bool, ...]

    def __new__(cls, code: str, ones: tuple[bool, ...]) -> TypeClass:
        found = cls._table.get((code, ones))
        if found is None:
            with _LOCK:
                found = cls._table.get((code, ones))
                if found is None:
                    found = object.__new__(cls)
                    found.code, found.ones = code, ones
                    cls._table[code, ones] = found
        return found

    def __reduce__(self) -> Any:
        return TypeClass, (self.code, self.ones)

    def __repr__(self) -> str:
        return f"{self.code}[{','.join('1' if one else '?' for one in self.ones)}]"


class TensorType:
    """A dtype and a shape.

    >>> TensorType("f8", (2, 3))
    float64[2, 3]
    >>> TensorType("f8", (2, 3)) is TensorType("f8", (2, 3))
    True
    """

    __slots__ = (
        "__weakref__", "code", "concrete", "dtype", "inexact", "itemsize", "klass", "lasting", "nbytes", "ndim",
        "shape", "size",
    )  # fmt: skip
    _table: ClassVar[dict[tuple[str, Shape], TensorType]] = {}
    #: Those with symbols, whose names may be of values of some graph.
    _symbolic: ClassVar[weakref.WeakValueDictionary[tuple[str, Shape], TensorType]] = weakref.WeakValueDictionary()

    code: str
    dtype: np.dtype[Any]
    shape: Shape
    ndim: int
    inexact: bool
    itemsize: int
    concrete: bool
    size: int
    nbytes: int
    klass: TypeClass
    #: Whether tables may keep it: it names no value of a graph (`nbgraph.decided`).
    lasting: bool

    def __new__(cls, code: str, shape: Shape) -> TensorType:
        found = cls._table.get((code, shape))
        return found if found is not None else cls._make(code, shape)

    @classmethod
    def _make(cls, code: str, shape: Shape) -> TensorType:
        with _LOCK:
            found = cls._table.get((code, shape)) or cls._symbolic.get((code, shape))
            if found is not None:
                return found
            self = object.__new__(cls)
            self.code, self.dtype, self.shape, self.ndim = code, DTYPES[code], shape, len(shape)
            self.inexact, self.itemsize = code[0] in "fc", DTYPES[code].itemsize
            self.concrete = all(type(d) is int for d in shape)
            self.size = math.prod(shape) if self.concrete else -1  # type: ignore[arg-type]
            self.nbytes = self.size * self.itemsize if self.concrete else -1
        self.lasting = are_lasting(shape)
        self.klass = TypeClass(code, tuple(type(d) is int and d == 1 for d in shape))
        with _LOCK:
            return (cls._table if self.concrete else cls._symbolic).setdefault((code, shape), self)

    def __reduce__(self) -> Any:
        return TensorType, (self.code, self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        """The same dtype with another shape."""
        return TensorType(self.code, shape)

    def with_code(self, code: str) -> TensorType:
        """The same shape with another dtype."""
        return TensorType(code, self.shape)

    @property
    def real_code(self) -> str:
        """The dtype code of the real part."""
        return REAL_OF.get(self.code, self.code)

    @property
    def is_complex(self) -> bool:
        return self.code[0] == "c"

    def __repr__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def are_lasting(shape: Shape) -> bool:
    """Whether no size is named by a value of a graph."""
    return not any(hasattr(name, "ask") for d in shape if type(d) is DimExpr for name in d.names)


def type_of_array(a: np.ndarray[Any, Any]) -> TensorType:
    """The type of an ndarray of a supported dtype."""
    return TensorType(CODES[a.dtype], a.shape)
