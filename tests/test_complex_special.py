"""Special functions of complex numbers, and those with several results: SciPy's values in both tiers, derivatives of
both modes and orders, Lambert's W on its branches against mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import special as scipy_special

import nbgraph as nbg
from nbgraph import special
from nbgraph.testing import check_grads

ENGINES = {jit: nbg.Engine(jit=jit) for jit in ("never", "always")}
PLANE = np.array([0.3 + 0.2j, -1.1 + 0.7j, 2.4 - 0.3j, -0.2 - 1.9j, 1.7 + 2.1j, -2.3 - 0.6j])
LINE = np.array([0.31, 0.9, 1.7, 3.2, 7.5])
ONE_RESULT, MORE = ("erf", "erfc", "erfcx", "erfi", "wofz"), ("sici", "fresnel", "airy")


def results(module, x):
    """All results of all functions, of a complex or a real operand."""
    names = ONE_RESULT if x.dtype.kind == "c" else ("wofz",)
    return [getattr(module, n)(x) for n in names] + [y for n in MORE for y in getattr(module, n)(x)]


@pytest.mark.parametrize("jit", ENGINES)
@pytest.mark.parametrize("x", [np.append(PLANE, 9 * PLANE), PLANE.astype("c8"), np.append(LINE, -LINE)])
def test_values_are_scipys(x, jit):
    wide = x.astype("c16" if x.dtype.kind == "c" else "f8")
    with np.errstate(all="ignore"):
        wanted = results(scipy_special, wide)
    t = nbg.asarray(x)
    for got, want in zip(nbg.eval(*results(special, t), engine=ENGINES[jit]), wanted, strict=True):
        assert got.dtype == want.dtype if x.dtype != "c8" else got.dtype == x.dtype
        np.testing.assert_allclose(got, want.astype(got.dtype), rtol=1e-5 if x.dtype == "c8" else 1e-13)


@pytest.mark.parametrize("name", [*ONE_RESULT, *MORE])
def test_derivatives(name):
    for x in (PLANE, LINE[:4]):
        check_grads(getattr(special, name), (x,), order=2, rtol=1e-5, atol=1e-5, engine=ENGINES["never"])


def test_the_derivative_of_erfcx_does_not_cancel():
    """Far out, 2 z f - 2 / sqrt(pi) is the difference of equal numbers."""
    z = np.array([40 + 3j, 300 - 90j, 5 + 80j, -10 + 60j])
    with mpmath.workdps(40):
        root = mpmath.sqrt(mpmath.pi)
        f = [mpmath.exp(mpmath.mpc(x) ** 2) * mpmath.erfc(mpmath.mpc(x)) for x in z]
        want = [complex(2 * mpmath.mpc(x) * y - 2 / root) for x, y in zip(z, f, strict=True)]
    _, got = nbg.jvp(special.erfcx, (z,), (np.ones(4, complex),))
    np.testing.assert_allclose(got.eval(ENGINES["never"]), want, rtol=1e-12)


@pytest.mark.parametrize("jit", ENGINES)
def test_lambertw(jit):
    grid = np.add.outer(np.linspace(-3, 3, 13), 1j * np.linspace(-3, 3, 13)).ravel()
    near = -1 / np.e + np.array([1e-3, -1e-3, 1e-3j, -1e-3j, 1e-6, -1e-6j])
    rim = np.array([1e-300, 1e300, -0.1, complex(-0.1, -0.0), complex(-3, -0.0), np.inf, np.nan])
    z = np.concatenate([grid[np.abs(grid + 1 / np.e) > 1e-2], near, rim])
    branches = range(-2, 3)
    for k, got in zip(
        branches, nbg.eval(*(special.lambertw(nbg.asarray(z), k) for k in branches), engine=ENGINES[jit]), strict=True
    ):
        np.testing.assert_allclose(got, scipy_special.lambertw(z, k), rtol=1e-9)
    want = [complex(mpmath.lambertw(complex(x))) for x in near[:4]]
    np.testing.assert_allclose(special.lambertw(nbg.asarray(near[:4])).eval(ENGINES[jit]), want, rtol=1e-12)


def test_derivatives_of_lambertw():
    for k in (-1, 0, 2):
        check_grads(lambda z, k=k: special.lambertw(z, k), (PLANE,), order=2, rtol=1e-5, engine=ENGINES["never"])
    assert special.lambertw(1).dtype == np.complex128
    with pytest.raises(nbg.DtypeError, match="lambertw: the branch is no int"):
        special.lambertw(1.0, 0.5)


def test_what_is_not_used_is_not_computed():
    x = nbg.TracedTensor.from_tensor(LINE)
    names = [i.op.name for f in nbg.graph.fragments_of(special.airy(x).Bi) for i in f.instrs]
    assert names == ["airy_bi"]
