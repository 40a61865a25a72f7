"""Parts of complex numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from nbgraph.kinds import INEXACT
from nbgraph.pointwise import Unary
from nbgraph.types import REAL_OF


@final
class Real(Unary):
    """The real part."""

    name = "real"
    codes = INEXACT
    function = np.real

    def result_code(self, code: str) -> str:
        return REAL_OF.get(code, code)

    def scalar(self, code: str, *xs: str) -> str:
        return f"{xs[0]}.real" if code[0] == "c" else xs[0]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.real(tangents[0])

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (b.cast(ct, b.type(ins[0]).code),)


@final
class Imag(Unary):
    """The imaginary part of a complex value."""

    name = "imag"
    codes = "c8 c16"
    function = np.imag

    def result_code(self, code: str) -> str:
        return REAL_OF[code]

    def scalar(self, code: str, *xs: str) -> str:
        return f"{xs[0]}.imag"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.imag(tangents[0])

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        # ct Im t = Re(conj(i ct) t) for real ct.
        return (b.mul(b.cast(ct, b.type(ins[0]).code), 1j),)


@final
class Conj(Unary):
    """The complex conjugate."""

    name = "conj"
    codes = INEXACT
    function = np.conj

    def scalar(self, code: str, *xs: str) -> str:
        return f"{xs[0]}.conjugate()" if code[0] == "c" else xs[0]

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return b.conj(tangents[0])

    def adjoint(self, b: Any, ct: Any, ins: Any, active: Sequence[bool]) -> Any:
        return (b.conj(ct),)
