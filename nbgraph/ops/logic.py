"""Truth values, and what kind of number it is."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from nbgraph.kinds import INEXACT
from nbgraph.pointwise import Binary, Unary


class _Logic(Binary):
    """Truth values of operands of any dtype."""

    def result_code(self, code: str) -> str:
        return "b1"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class LogicalAnd(_Logic):
    """Both are nonzero."""

    name = "logical_and"
    function = np.logical_and
    template = "(({} != 0) & ({} != 0))"


@final
class LogicalOr(_Logic):
    """At least one is nonzero."""

    name = "logical_or"
    function = np.logical_or
    template = "(({} != 0) | ({} != 0))"


@final
class LogicalXor(_Logic):
    """Exactly one is nonzero."""

    name = "logical_xor"
    function = np.logical_xor
    template = "(({} != 0) != ({} != 0))"


@final
class LogicalNot(Unary):
    """Whether it is zero."""

    name = "logical_not"
    function = np.logical_not

    def result_code(self, code: str) -> str:
        return "b1"

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[0]} == 0)"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class IsNaN(Unary):
    """Whether it is NaN."""

    name = "isnan"
    codes = INEXACT
    function = np.isnan

    def result_code(self, code: str) -> str:
        return "b1"

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[0]} != {xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class IsFinite(Unary):
    """Whether it is neither infinite nor NaN."""

    name = "isfinite"
    codes = INEXACT
    function = np.isfinite

    def result_code(self, code: str) -> str:
        return "b1"

    def scalar(self, code: str, *xs: str) -> str:
        return f"({xs[0]} - {xs[0]} == 0)"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None
