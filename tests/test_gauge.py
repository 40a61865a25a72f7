"""Losses that depend on the phases of complex vectors are told; those that do not, pass."""

from __future__ import annotations

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import DifferentiationError
from nbgraph.testing import check_grads

la = nbg.linalg


def draw(shape, seed=0, complex_=True):
    rng = np.random.default_rng(100 + seed)  # not the directions of check_grads
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if complex_ else x


def hermitian(f):
    return lambda a: f(*la.eigh(a + nbg.conj(a.mT)))


def projector(w, v):
    return v[..., :, 0:1] @ nbg.conj(v[..., :, 0:1].mT)


GOOD = [
    lambda w, v: w,
    projector,
    lambda w, v: abs(v),
    lambda w, v: (v * nbg.exp(w)[..., None, :]) @ nbg.conj(v.mT),
    lambda w, v: abs(nbg.sum(v, -2)) ** 2,
]
BAD = [lambda w, v: v, lambda w, v: nbg.real(v), lambda w, v: nbg.sum(v[0] * v[1]), lambda w, v: w + nbg.imag(v[0])]


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (1, 1), (0, 0)])
@pytest.mark.parametrize("good", GOOD)
def test_what_does_not_depend_on_phases_passes(good, shape):
    check_grads(hermitian(good), (draw(shape),), order=1, rtol=1e-4)
    if good is not GOOD[3]:
        check_grads(lambda a: good(*la.eig(a)), (draw(shape),), order=1, rtol=1e-4)


@pytest.mark.parametrize("bad", BAD)
def test_what_depends_on_phases_raises(bad):
    for f in (hermitian(bad), lambda a: bad(*(x if k else nbg.real(x) for k, x in enumerate(la.eig(a))))):
        with pytest.raises(DifferentiationError, match="depends on the phases") as caught:
            check_grads(f, (draw((3, 3)),))
        assert caught.value.operation in ("eigh", "eig") and "projectors" in caught.value.hint


GOOD_SVD = [
    lambda u, s, vh: s,
    lambda u, s, vh: (u[..., :, :1] * s[..., None, :1]) @ vh[..., :1, :],
    lambda u, s, vh: (abs(u), abs(vh)),
    lambda u, s, vh: u[..., :1] @ nbg.conj(u[..., :1].mT),
]
BAD_SVD = [
    lambda u, s, vh: u,
    lambda u, s, vh: nbg.imag(vh),
    lambda u, s, vh: u[..., :2, :2] @ vh[..., :2, :2].mT,
    lambda u, s, vh: s[..., :1] + nbg.real(u[..., 1, :1]),
]


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2)])
@pytest.mark.parametrize("full", [False, True])
def test_singular_vectors_share_a_phase(shape, full):
    for good in GOOD_SVD:
        if not (full and good is GOOD_SVD[2]):  # moduli of the vectors that make u square depend on the basis
            check_grads(lambda a, good=good: good(*la.svd(a, full)), (draw(shape),), order=1, rtol=1e-4)
    for bad in BAD_SVD:
        with pytest.raises(DifferentiationError, match="svd: the result depends on the phases"):
            check_grads(lambda a, bad=bad: bad(*la.svd(a, full)), (draw(shape),), order=1)


def test_it_can_be_turned_off():
    """Then it is for the differences to tell."""
    with pytest.raises(AssertionError, match="forward mode"):
        check_grads(lambda a: la.eig(a)[1], (draw((3, 3)),), order=1, check_gauge=False)


def test_values_that_are_evaluated_on_the_way():
    def f(a, g=projector):
        w, v = la.eigh(a + nbg.conj(a.mT))
        w.eval()
        p = g(w, v)
        p.eval()
        return p * 2

    check_grads(f, (draw((3, 3)),), order=1, rtol=1e-5)
    with pytest.raises(DifferentiationError, match="eigh"):
        check_grads(lambda a: f(a, lambda w, v: v[0]), (draw((3, 3)),))


def test_real_vectors_have_no_phase():
    a = np.diag([1.0, 2.0, 4.0]) + 0.1 * draw((3, 3), complex_=False)
    check_grads(hermitian(lambda w, v: v), (a,), order=1, rtol=1e-5)


def test_vectors_of_vectors():
    """Each operation is looked at alone, all that is made of it included."""

    def f(a):
        p = hermitian(projector)(a)
        return projector(*la.eigh(p + 2 * nbg.conj(p.mT) + np.diag([0.0, 1.0, 2.0])))

    check_grads(f, (draw((3, 3)),), order=1, rtol=1e-5)
