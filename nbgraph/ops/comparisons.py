"""Comparisons."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from nbgraph.kinds import REAL
from nbgraph.pointwise import Binary


class _Comparison(Binary):
    """A boolean result. Not unique: near a tie two engines may decide differently, so masks are saved."""

    unique = False

    def result_code(self, code: str) -> str:
        return "b1"

    def scalar(self, code: str, *xs: str) -> str:
        return self.template.format(*xs)

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        return None


@final
class Equal(_Comparison):
    """x == y."""

    name = "equal"
    function = np.equal
    template = "({} == {})"


@final
class NotEqual(_Comparison):
    """x != y."""

    name = "not_equal"
    function = np.not_equal
    template = "({} != {})"


@final
class Less(_Comparison):
    """x < y."""

    name = "less"
    codes = REAL
    function = np.less
    template = "({} < {})"


@final
class LessEqual(_Comparison):
    """x <= y."""

    name = "less_equal"
    codes = REAL
    function = np.less_equal
    template = "({} <= {})"


@final
class Greater(_Comparison):
    """x > y."""

    name = "greater"
    codes = REAL
    function = np.greater
    template = "({} > {})"


@final
class GreaterEqual(_Comparison):
    """x >= y."""

    name = "greater_equal"
    codes = REAL
    function = np.greater_equal
    template = "({} >= {})"
