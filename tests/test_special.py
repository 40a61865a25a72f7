"""`nbg.special`: SciPy's values at ordinary and exceptional operands, by both tiers; derivatives to second order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp
from scipy import special as scipy_special
from test_elementary import ENGINES, agree, gradient

import nbgraph as nbg
from nbgraph import special
from nbgraph.op import REGISTRY
from nbgraph.testing import check_grads
from nbgraph_kernels import address

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-9, -1e-9, 1e300, -1e300, 30.0, -30.0, 170.5]
UNARY = (
    "gammaln gamma digamma psi erf erfc erfcx erfinv ndtr log_ndtr ndtri entr expit logit log_expit i0 i0e i1 i1e sinc"
)
BINARY = "beta betaln xlogy xlog1py rel_entr kl_div gammainc gammaincc"


def wide(code: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore"):
        return np.concatenate([SPECIAL, rng.uniform(-6, 6, 60), rng.uniform(0, 1, 30)]).astype(code)


def single(f):
    """SciPy's function as it is here in single precision: computed in double."""

    def rounded(*xs):
        return f(*(x.astype("f8") for x in xs)).astype(xs[0].dtype)

    return rounded


def named(names: str):
    ours = [getattr(special, n) for n in names.split()]
    return ours, [single(getattr(scipy_special, n)) if n != "sinc" else np.sinc for n in names.split()]


@pytest.mark.parametrize("code", ["f8", "f4"])
def test_of_one_operand(code):
    agree(*named(UNARY), wide(code))


@pytest.mark.parametrize("code", ["f8", "f4"])
def test_of_two_operands(code):
    a, b = (m.ravel() for m in np.meshgrid(wide(code)[:40], wide(code)[:40]))
    agree(*named(BINARY), a, b)


P, Q = np.linspace(0.3, 3.7, 7), np.linspace(0.6, 2.4, 7)
N = np.linspace(-2.2, 2.1, 7)
HALF = np.linspace(0.1, 0.9, 7)
#: Names, operands, and which of them (an array) has a derivative.
FURTHER = [
    *((name, (v, P), 1) for name in ("jv", "yv", "iv", "kv", "kve") for v in (0, 1, 2.5)),
    *((name, (2, P), 1) for name in ("jn", "yn", "kn", "expn", "spherical_jn")),
    *((name, (P,), 0) for name in ("j0", "j1", "y0", "y1", "k0", "k1", "k0e", "k1e", "exp1", "expi")),
    ("rgamma", (P,), 0), ("spence", (P,), 0),
    *((name, (N,), 0) for name in ("j0", "dawsn", "erfi", "exp10", "cosm1", "exprel", "softplus", "cbrt")),
    *((name, (np.array([-9.0, -0.5, -0.099, 0.0, 1e-6, 0.05, 0.101, 0.97]),), 0) for name in ("ellipk", "ellipe")),
    ("erfcinv", (HALF,), 0), ("loggamma", (P,), 0), ("gammasgn", (N,), None), ("zetac", (1 + P,), None),
    *((name, (n, N), 1) for name in ("eval_legendre", "eval_chebyt", "eval_chebyu", "eval_hermite") for n in (0, 1, 5)),
    *((name, (3, N), 1) for name in ("eval_hermitenorm", "eval_laguerre")),
    *((name, (3, Q, N), 1) for name in ("eval_genlaguerre", "eval_gegenbauer")),
    ("eval_gegenbauer", (4, Q, N), 2), ("eval_genlaguerre", (1, Q, N), 2),
    ("hyp1f1", (P, Q, N), 2), ("hyp2f1", (P, Q, P + 1, HALF), 3), ("betainc", (P, Q, HALF), 2),
    *(("poch", (P, Q), k) for k in (0, 1)), *(("binom", (P + 2, Q), k) for k in (0, 1)),
    *(("owens_t", (N, Q), k) for k in (0, 1)),
    *((name, (P, N), k) for name in ("boxcox", "boxcox1p", "powm1") for k in (0, 1)),
    ("boxcox", (P, np.zeros(7)), 0), ("boxcox", (P, np.zeros(7)), 1), ("inv_boxcox", (HALF, Q), 0),
    *((name, (Q, N), k) for name in ("huber", "pseudo_huber") for k in (0, 1)),
    *(("ive", (v, P), 1) for v in (0, 1, 2.5)), ("ive", (1, N), 1),
    ("factorial", (P,), 0), ("comb", (P + 2, Q), 0), ("comb", (P, P + 1), None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "operands", "by"), FURTHER, ids=[f"{c[0]}-{k}" for k, c in enumerate(FURTHER)])
def test_further_functions(name, operands, by):
    wanted = getattr(scipy_special, name)(*operands)
    f = getattr(special, name)
    np.testing.assert_allclose(f(*operands).eval(), wanted, rtol=2e-13, atol=1e-14)
    if by is not None:
        one = lambda x: f(*operands[:by], x, *operands[by + 1 :])  # noqa: E731
        check_grads(one, (operands[by],), order=2, rtol=1e-5, atol=1e-5)


def test_further_functions_compiled():
    x = nbg.asarray(P)
    made = [special.jv(1.5, x), special.ellipk(x / 4), special.hyp1f1(1, 2, x), special.expn(2, x), special.kve(0, x)]
    always = nbg.eval(*made, engine=nbg.Engine(jit="always"))
    for got, wanted in zip(always, nbg.eval(*made, engine=nbg.Engine(jit="never")), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-14)


def test_bad_orders_and_parameters():
    for call in (
        lambda: special.jv(P, P),
        lambda: special.expn(-1, P),
        lambda: special.spherical_jn(0.5, P),
        lambda: special.eval_legendre(1.5, P),
        lambda: special.factorial(P, exact=True),
        lambda: special.ellipk(1j),
    ):
        with pytest.raises(nbg.DtypeError):
            call()
    a = nbg.TracedTensor.from_tensor(2.0)
    with pytest.raises(nbg.DifferentiationError, match="betainc: there is no derivative by a parameter"):
        special.betainc(a, 1.0, 0.5).grad(a)


def test_polygamma_and_zeta():
    x = np.concatenate([np.linspace(-6.3, 40, 200), [0.0, -1.0, -3.0, -1e-9, 1e-9, np.inf, np.nan]])
    for n in (0, 1, 2, 3, 4):
        agree([lambda x, n=n: special.polygamma(n, x)], [lambda x, n=n: scipy_special.polygamma(n, x)], x, ulps=4000)
    q = x[(x > 0) | (x == np.floor(x))]
    for s in (1.0, 1.5, 2.0, 3.0, 20.0, 0.5):
        agree([lambda q, s=s: special.zeta(s, q)], [lambda q, s=s: scipy_special.zeta(s, q)], q)
    agree([special.zeta], [scipy_special.zeta], np.array([1.0, 1.1, 2.0, 4.0, 50.0]))


def test_polygamma_of_very_negative_numbers_is_quick():
    """By reflection; SciPy adds up a term for each unit."""
    x = np.array([-1e9 - 0.5, -1e15 + 0.5])
    for engine in ENGINES:
        np.testing.assert_allclose(special.polygamma(1, x).eval(engine), np.pi**2, rtol=1e-8)


def test_multigammaln():
    a = np.array([2.5, 3.0, 9.5])
    for d in (1, 2, 4):
        agree([lambda a, d=d: special.multigammaln(a, d)], [lambda a, d=d: scipy_special.multigammaln(a, d)], a)


@pytest.mark.parametrize("code", ["f8", "f4", "c16"])
def test_sums_of_exponentials(code):
    x = np.random.default_rng(1).uniform(-3, 3, (3, 4)).astype(code)
    x[0, 1], x[1] = 700, -800
    b = np.array([1.0, 2.0, 0.5, 3.0]).astype(code)
    agree(
        [special.logsumexp, lambda x: special.logsumexp(x, 1), lambda x: special.logsumexp(x, (0, 1), keepdims=True)],
        [scipy_special.logsumexp, lambda x: scipy_special.logsumexp(x, 1),
         lambda x: scipy_special.logsumexp(x, (0, 1), keepdims=True)],
        x,
    )  # fmt: skip
    agree([lambda x: special.logsumexp(x, 0, b)], [lambda x: scipy_special.logsumexp(x, 0, b)], x)
    if code != "c16":
        agree(
            [lambda x: special.softmax(x, 1), special.softmax, lambda x: special.log_softmax(x, 0)],
            [lambda x: scipy_special.softmax(x, 1), scipy_special.softmax, lambda x: scipy_special.log_softmax(x, 0)],
            x,
        )


def test_sums_of_exponentials_with_infinities():
    for x in ([-np.inf, -np.inf], [np.inf, 1.0], [-np.inf, 2.0], [np.nan, 1.0]):
        for engine in ENGINES:
            got = special.logsumexp(nbg.constant(x)).eval(engine)
            np.testing.assert_array_equal(got, scipy_special.logsumexp(x))


DOMAIN = dict.fromkeys(["entr", "gamma", "gammaln", "digamma"], (0.4, 1.7, 3.2))
DOMAIN |= dict.fromkeys(["ndtri", "logit"], (0.1, 0.5, 0.8))


@pytest.mark.parametrize("name", UNARY.split())
def test_derivatives(name):
    at = np.array(DOMAIN.get(name, (-0.7, 0.2, 0.6)))
    nbg.testing.check_grads(getattr(special, name), (at,), order=2)


def test_derivatives_of_all_in_compiled_code():
    x, y = np.array([0.3, 0.7]), np.array([0.6, 0.2])

    def total(x, y):
        one = [getattr(special, n)(x) for n in ["gammaln", "erfc", "ndtr", "logit", "i1e", "log_expit"]]
        two = [getattr(special, n)(x, y) for n in ["beta", "xlogy", "kl_div"]]
        return sum(nbg.sum(v) for v in (*one, *two, special.polygamma(1, x)))

    nbg.testing.check_grads(total, (x, y), order=2, engine=nbg.Engine(jit="always"))


@pytest.mark.parametrize("name", ["beta", "betaln", "xlogy", "xlog1py", "rel_entr", "kl_div"])
def test_derivatives_by_both(name):
    nbg.testing.check_grads(getattr(special, name), (np.array([0.4, 1.2]), np.array([0.7, 0.3])), order=2)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc", "zeta"])
def test_derivatives_by_the_argument_only(name):
    f, a = getattr(special, name), np.array([1.7, 2.5])
    nbg.testing.check_grads(lambda x: f(a, x), (np.array([0.4, 2.2]),), order=2)
    with pytest.raises(nbg.DifferentiationError, match=name):
        gradient(lambda a: f(a, 0.5), a)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_derivatives_of_polygamma(n):
    nbg.testing.check_grads(lambda x: special.polygamma(n, x), (np.array([0.8, 3.1, -0.4]),), order=2, rtol=1e-5)


@pytest.mark.parametrize("f", [special.logsumexp, special.softmax, special.log_softmax])
def test_derivatives_of_sums(f):
    x = np.random.default_rng(2).uniform(-2, 2, (3, 4))
    nbg.testing.check_grads(lambda x: f(x, 1), (x,), order=2)
    nbg.testing.check_grads(f, (x + 500,), order=1)


def test_derivatives_at_the_edges():
    inf = np.inf
    assert gradient(special.xlogy, [0.0, 0.0], [0.0, 2.0]) == [[0.0, np.log(2.0)], [0.0, 0.0]]
    assert gradient(special.erfinv, [1.0, -1.0]) == [[inf, inf]]
    assert gradient(special.logit, [0.0, 1.0]) == [[inf, inf]]
    assert gradient(special.expit, [-inf, inf, -800.0]) == [[0.0, 0.0, 0.0]]
    assert gradient(special.log_expit, [-1e4, 1e4]) == [[1.0, 0.0]]
    assert gradient(special.i1, [0.0]) == [[0.5]] and gradient(special.i0e, [0.0]) == [[0.0]]
    far = gradient(special.log_ndtr, [-1e8, 40.0])[0]
    assert far[0] == pytest.approx(1e8, rel=1e-12) and far[1] == 0.0
    slope = gradient(special.erfcx, [1e6, inf])[0]
    assert slope[0] == pytest.approx(-1e-12 / np.sqrt(np.pi), rel=1e-9, abs=0) and slope[1] == 0.0


def test_scipys_functions_stay_lazy():
    t = nbg.TracedTensor.from_tensor([0.25, 0.5])
    for name in ["gammaln", "psi", "erf", "erfc", "ndtr", "expit", "i0e", "entr"]:
        made = getattr(scipy_special, name)(t)
        assert isinstance(made, nbg.TracedTensor), name
        np.testing.assert_allclose(made.eval(), getattr(scipy_special, name)(t.eval()))


def test_bad_operands():
    with pytest.raises(nbg.DtypeError, match="polygamma"):
        special.polygamma(0.5, 1.0)
    with pytest.raises(nbg.DtypeError, match="polygamma"):
        special.polygamma(-1, 1.0)
    with pytest.raises(nbg.DtypeError, match="gammaln"):
        special.gammaln(1j)
    with pytest.raises(LookupError, match=r"special\.nothing"):
        address("special.nothing")


@pytest.mark.parametrize(
    ("name", "x", "want"),
    [
        ("erfc", [26.5, -1.0, 0.5], [mp.erfc(26.5), mp.erfc(-1), mp.erfc(0.5)]),
        ("log_expit", [-800.0, 0.25, 40.0], [-800.0, -mp.log1p(mp.exp(-0.25)), -mp.exp(-40)]),
    ],
)
def test_what_generated_code_has_of_its_own(name: str, x: list[float], want: list[Any]) -> None:
    got = getattr(nbg.special, name)(nbg.constant(x)).eval(nbg.Engine(jit="always"))
    np.testing.assert_allclose(got, np.array(want, float), rtol=1e-15)
    assert all(REGISTRY[name]().externals(code) == () for code in ("f4", "f8"))  # nothing is called element by element
