"""The names that generated code uses, and its compiler. The one place of code generation that imports numba.

In: source from `emit`. Out: `Machine`: the address of `int64 f(int64*)`, alive as long as the object.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from nbgraph.codegen.emit import Source


class Machine:
    """Machine code of one fragment and what its words are."""

    __slots__ = ("address", "code_bytes", "keepalive", "object_code", "source")

    def __init__(self, source: Source, compiled: Any) -> None:
        self.source = source
        self.address: int = compiled.address
        self.code_bytes: int = compiled.code_bytes
        self.object_code: bytes = compiled.object_code
        self.keepalive = compiled


def compile_source(source: Source) -> Machine:
    """Compiles generated source."""
    from nbgraph_kernels.compile import compile_words

    namespace = dict(_namespace())
    exec(compile(source.text, "<nbgraph fragment>", "exec"), namespace)
    return Machine(source, compile_words(namespace["fragment"]))


@cache
def _namespace() -> dict[str, Any]:
    import numba

    from nbgraph_kernels import lowering, words

    scalars = {
        n: getattr(numba, n) for n in ("float32", "float64", "complex64", "complex128", "int32", "int64", "uint8")
    }
    helpers = {f.__name__: lowering.helper(f) for f in (sign, complex_sign, complex_arctan)}
    return {**words.POINTERS, **scalars, **helpers, "call": words.call, "math": math, "np": np}


def sign(x: Any) -> Any:
    """-1, 0 or 1; NaN of NaN."""
    if x > 0:
        return x * 0 + 1
    if x < 0:
        return x * 0 - 1
    return x


def complex_sign(z: Any) -> Any:
    """z / |z|, 0 at 0."""
    r = abs(z)
    if r == 0:
        return z * 0
    return z / r


def complex_arctan(z: Any) -> Any:
    """arctan z = (i/2) (log(1 - iz) - log(1 + iz))."""
    return (np.log(1 - z * 1j) - np.log(1 + z * 1j)) * 0.5j
