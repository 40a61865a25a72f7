"""What the tests of `nbg.jit` share: functions of several kinds, and a count of how often one is traced."""

from __future__ import annotations

import functools
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

import nbgraph as nbg
from nbgraph.trees import leaves

rng = np.random.default_rng(3)
leaf = nbg.TracedTensor.from_tensor
Point = namedtuple("Point", ["x", "y"])


@dataclass
class State:
    mean: object
    scale: object


def close(got, wanted, tol=1e-12):
    np.testing.assert_allclose(np.asarray(got.eval()), np.asarray(wanted), rtol=tol, atol=tol)


def array(*shape, kind="f"):
    a = rng.uniform(0.5, 1.5, shape)
    return a + 1j * rng.uniform(0.5, 1.5, shape) if kind == "c" else a


class Counted:
    """A function that counts its runs, in a way that is no state it reads."""

    def __init__(self, f):
        self.f, self.runs = f, []
        functools.update_wrapper(self, f)

    def jitted(self, **options):
        runs, f = self.runs.append, self.f

        @functools.wraps(f)
        def counting(*args, **kwargs):
            runs(None)
            return f(*args, **kwargs)

        return nbg.jit(counting, **options)

    def __len__(self):
        return len(self.runs)


def step(a, x):
    y = a @ x
    new = y / nbg.linalg.norm(y)
    return new, nbg.linalg.norm(new - x)


FUNCTIONS = {
    "elementwise": (lambda x, y: nbg.sin(x) * y + x / y, lambda: (array(3), array(3))),
    "step": (step, lambda: (array(4, 4), array(4))),
    "contraction": (lambda a, b: nbg.einsum("ij,jk->ki", a, b), lambda: (array(2, 3), array(3, 4))),
    "slices": (lambda x: x[1:] - x[:-1] + x[0], lambda: (array(5),)),
    "update": (lambda x, y: x.at[1:3].set(y).at[0].add(2.0), lambda: (array(5), array(2))),
    "reductions": (lambda x: (x.max(axis=0), x.mean(), nbg.sum(x, axis=1)), lambda: (array(3, 4),)),
    "reshapes": (lambda x: nbg.concatenate([x.reshape(-1), x.T.ravel()]), lambda: (array(2, 3),)),
    "eigh": (lambda a: nbg.linalg.eigh(a + a.T)[0], lambda: (array(3, 3),)),
    "projector": (
        lambda a: (lambda v: v[:, :1] @ v[:, :1].T)(nbg.linalg.eigh(a + a.T)[1]),
        lambda: (array(3, 3) + np.diag([0.0, 3.0, 9.0]),),
    ),
    "solve": (nbg.linalg.solve, lambda: (array(3, 3) + 3 * np.eye(3), array(3))),
    "complex": (lambda z, w: nbg.abs(z * nbg.conj(w)) ** 2, lambda: (array(3, kind="c"), array(3, kind="c"))),
    "empty": (lambda x: x * 2.0 + x.sum(), lambda: (np.zeros((0, 3)),)),
    "number": (lambda x: x**3 - 2.0 / x, lambda: (np.float64(1.5),)),
    "gradient inside": (lambda x, y: nbg.grad(lambda z: (nbg.exp(z) * y).sum())(x), lambda: (array(3), array(3))),
    "second derivative inside": (
        lambda x: nbg.hessian(lambda z: (z**3).sum() * z[0])(x),
        lambda: (array(3),),
    ),
    "tangent inside": (lambda x, t: nbg.jvp(lambda z: nbg.sin(z) * z, (x,), (t,))[1], lambda: (array(3), array(3))),
    "many operations": (lambda x: functools.reduce(lambda y, k: nbg.sin(y) + x * k, range(90), x), lambda: (array(2),)),
}  # fmt: skip
MODES = ("never", "auto", "always")


def total(result):
    """A real number of everything a function returns."""
    parts = [nbg.real(part * (k + 1.5)).sum() for k, part in enumerate(leaves(result))]
    return sum(parts, nbg.constant(0.0))
