"""`nbg.special`: special functions with SciPy's names, differentiable to any order.

In: anything array-like; operands broadcast. Out: a `TracedTensor`, not evaluated; integers and booleans become float64.
Holds: values are SciPy's, at poles, at infinity and of NaN too; single precision is computed in double. Complex
operands raise `DtypeError` but in `expit`, `logsumexp` and `sinc`.
"""

from nbgraph.api import erf, exp2, expm1, i0, log1p, sinc
from nbgraph.special.bessel import i0e, i1, i1e
from nbgraph.special.error_functions import erfc, erfcx, erfinv, log_ndtr, ndtr, ndtri
from nbgraph.special.gamma import (
    beta,
    betaln,
    digamma,
    gamma,
    gammainc,
    gammaincc,
    gammaln,
    lgamma,
    multigammaln,
    polygamma,
    psi,
    zeta,
)
from nbgraph.special.information import entr, expit, kl_div, log_expit, logit, rel_entr, xlog1py, xlogy
from nbgraph.special.sums import log_softmax, logsumexp, softmax

__all__ = [
    "beta",
    "betaln",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "kl_div",
    "lgamma",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "rel_entr",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
    "zeta",
]
