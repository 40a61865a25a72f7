"""Vector mathematics: elementary functions that LLVM vectorises, as functions of kernels.

In:    names as in `math` and `numpy`. Out: `FUNCTIONS`, an intrinsic for each; `namespace(module)`, a module with these
in place of the module's own.
Holds: at most 2 ulp from the exact result over the whole range (4 for pow), in float32 and float64; C's results for
zeros, infinities and NaN. Complex arguments go to the module's own function.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

from . import error, exponentials, hyperbolic, inverse, logarithms, powers, trigonometric
from .functions import caller, caller_beside

__all__ = ["BODIES", "namespace"]

BODIES: dict[str, Any] = {
    **{f.__name__: f for f in (exponentials.exp, exponentials.exp2, exponentials.expm1, exponentials.sigmoid)},
    **{f.__name__: f for f in (logarithms.log, logarithms.log2, logarithms.log10, logarithms.log1p)},
    **{f.__name__: f for f in (trigonometric.sin, trigonometric.cos, trigonometric.tan)},
    **{f.__name__: f for f in (hyperbolic.sinh, hyperbolic.cosh, hyperbolic.tanh)},
    **{f.__name__: f for f in (inverse.arctan, inverse.arctan2, inverse.arcsin, inverse.arccos)},
    **{f.__name__: f for f in (error.erf, error.erfc)},
    "pow": powers.pow,
}
"""The code of each function, by NumPy's name."""

_ALIASES = {"atan": "arctan", "atan2": "arctan2", "asin": "arcsin", "acos": "arccos", "power": "pow"}
"""What `math` and `numpy` call some of them."""


@cache
def namespace(module: ModuleType) -> ModuleType:
    """`math` or `numpy` as compiled code shall see it: these functions for real numbers, else the module's own."""
    made = ModuleType(module.__name__)
    made.__dict__.update({k: v for k, v in vars(module).items() if not k.startswith("__")})
    names = {name: name for name in BODIES} | _ALIASES
    for name, meaning in names.items():
        made.__dict__[name] = caller(BODIES[meaning])
    made.__dict__["erf"] = caller_beside(error.erf, error.erf_beside, exponentials.exp)
    return made
