"""The main job: the Ising model on a periodic strip, by power iteration and derivatives through all of it.

In: a width L, a coupling K = J/T (J = 1). Out: per site lnZ, U = -dlnZ/dK and C = K^2 d2lnZ/dK2, from the loop
(`solve`), from the whole spectrum (`strip`) and for the infinite lattice (`onsager`).

Rows s of L spins follow one another along the strip, and per site lnZ = log(lambda)/L, with lambda the largest
eigenvalue of the transfer matrix (indices of spins are taken modulo L)

    T(s, s') = D(s) A(s, s') D(s'),   D(s) = exp(K/2 sum_i s_i s_(i+1)),   A(s, s') = exp(K sum_i s_i s'_i).

A is a product over sites, so it is one factor for each half of the row: a state is a matrix x[left half, right half],
and T x = D * (A_left (D * x) A_right). Energies are counted from the ordered state, -2 per site, so that nothing
overflows: lnZ = 2K + log(lambda)/L.

At low temperature the two leading eigenvalues nearly meet, but the second belongs to a state that is odd under s -> -s.
The loop starts from the uniform vector, which is even, and never sees it: what is left converges like r^k, r <= 0.53
up to L = 10. T is symmetric, so the Rayleigh quotient x.Tx of a vector that is off by e is off by e^2, its first and
second derivatives by k e^2 and k^2 e^2: e = 1e-8 would leave all three to rounding, 1e-10 costs a few steps more.

>>> found = solve(4, 2.0)
>>> print(f"{found.lnZ:.10f} {found.U:.10f} {found.C:.10f}")
1.0378611796 -1.6442533755 0.8037928882
"""

from __future__ import annotations

import math
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import quad
from scipy.linalg import eigh
from scipy.special import ellipe, ellipkm1

import nbgraph as nbg

__all__ = ["TC", "NotConverged", "PerSite", "Solution", "onsager", "solve", "strip"]

Array = np.ndarray[Any, Any]

TC = 2 / math.log(1 + math.sqrt(2))  #: the critical temperature of the infinite lattice
MAX_ITERATIONS = 1000


class PerSite(NamedTuple):
    """Free energy, energy and specific heat of one site."""

    lnZ: float
    U: float
    C: float


class Solution(NamedTuple):
    """What the loop found at one temperature."""

    T: float
    K: float
    lnZ: float
    U: float
    C: float
    iterations: int


class NotConverged(ArithmeticError):
    """The power iteration reached its last step before its tolerance."""


# -- the loop ---------------------------------------------------------------------------------------------------------


def solve(width: int, T: float, tol: float = 1e-10, engine: nbg.Engine | None = None) -> Solution:
    """The loop at one temperature, and two derivatives through all of it."""
    K = nbg.TracedTensor.from_tensor(1 / T)
    lnZ, iterations = free_energy(width, K, tol, engine)
    slope = lnZ.grad(K)
    curvature = slope.grad(K)
    values = nbg.eval(lnZ, -slope, K**2 * curvature, engine=engine)
    return Solution(T, 1 / T, *PerSite(*map(float, values)), iterations)


def free_energy(width: int, K: nbg.TracedTensor, tol: float, engine: nbg.Engine | None) -> tuple[nbg.TracedTensor, int]:
    """lnZ per site, after as many iterations as it takes until one moves the vector by less than `tol`."""
    horizontal, left, right = energies(width)
    D, A_left, A_right = nbg.exp(K / 2 * horizontal), nbg.exp(K * left), nbg.exp(K * right)
    x = nbg.constant(np.full(horizontal.shape, 2 ** (-width / 2)))

    for iterations in count(1):
        y = D * (A_left @ (D * x) @ A_right)
        previous, x = x, y / nbg.linalg.norm(y)
        if nbg.linalg.norm(x - previous).eval(engine) < tol:
            break
        if iterations == MAX_ITERATIONS:
            raise NotConverged(f"T = {1 / float(K):g}: not converged to {tol:g} in {MAX_ITERATIONS} iterations")

    Dx = D * x
    return 2 * K + nbg.log(nbg.sum(Dx * (A_left @ Dx @ A_right))) / width, iterations


def spins(n: int) -> Array:
    """The 2^n states of n spins, one a row."""
    return 1.0 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def bonds(s: Array) -> Array:
    """sum_i (s_i s_(i+1) - 1) round the ring, for each row."""
    return np.asarray(np.sum(s * np.roll(s, 1, axis=1) - 1, axis=1))


def energies(width: int) -> tuple[Array, Array, Array]:
    """The exponents of D^2, A_left and A_right at K = 1; D is a matrix as the state is."""
    left, right = spins(width // 2), spins(width - width // 2)
    ring = bonds(spins(width)).reshape(len(left), len(right))
    return ring, left @ left.T - left.shape[1], right @ right.T - right.shape[1]


# -- to compare with --------------------------------------------------------------------------------------------------


def strip(width: int, K: float) -> PerSite:
    """The strip by full diagonalisation, differentiated exactly.

    T = exp(K E) element by element, so T' = E T and T'' = E^2 T. With eigenpairs lambda_n, v_n (0 the largest),

        lambda' = v_0 T' v_0,   lambda'' = v_0 T'' v_0 + 2 sum_n (v_n T' v_0)^2 / (lambda_0 - lambda_n).

    v_0 is positive, so it has all symmetries of the ring; T' leads to no state that has not, and those, the nearly
    degenerate one among them, are left out.
    """
    s, (first, P) = spins(width), orbits(width)
    ring = bonds(s) / 2
    E = ring[first, None] + ring + s[first] @ s.T - width
    T, dT, ddT = ((E**n * np.exp(K * E)) @ P / P[first].max(1, keepdims=True) for n in range(3))
    values, vectors = eigh(T)
    top, v = values[-1], vectors[:, -1]
    coupling = vectors.T @ dT @ v
    first = coupling[-1] / top
    second = (v @ ddT @ v + 2 * np.sum(coupling[:-1] ** 2 / (top - values[:-1]))) / top
    lnZ, slope, curvature = math.log(top) / width, first / width, (second - first**2) / width
    return PerSite(2 * K + lnZ, float(-2 - slope), float(K**2 * curvature))


def orbits(width: int) -> tuple[Array, Array]:
    """The first row of each orbit under rotations of the ring and s -> -s, and the uniform unit vectors on the orbits.

    With P these columns and X as symmetric, P^T X P = X[first] P / P[first, itself].
    """
    full = 2**width - 1
    states = np.arange(full + 1)
    rotated = [(states >> i | states << width - i) & full for i in range(width)]
    first, orbit = np.unique(np.minimum.reduce([*rotated, *(full ^ r for r in rotated)]), return_inverse=True)
    P = np.eye(len(first))[orbit]
    return first, P / np.linalg.norm(P, axis=0)


def onsager(K: float) -> PerSite:
    """The infinite lattice; L. Onsager, Phys. Rev. 65, 117 (1944), in the notation of K. Huang's textbook.

    With t = tanh 2K, q = 2 t^2 - 1, k^2 = 1 - q^2 and the complete elliptic integrals F(k), E(k):

        lnZ = ln(2 cosh 2K) + 1/pi int_0^(pi/2) ln((1 + sqrt(1 - k^2 sin^2 a)) / 2) da
        U = -coth 2K (1 + 2/pi q F)
        C = 4/pi (K coth 2K)^2 (F - E - (1 - t^2) (pi/2 + q F))

    C diverges like -ln|q| at the critical point, where q = 0.
    """
    t = math.tanh(2 * K)
    q = 2 * t * t - 1
    F, E = ellipkm1(q * q), ellipe(1 - q * q)
    qF = q * F if q else 0.0
    area, _ = quad(lambda a: math.log((1 + math.hypot(math.cos(a), q * math.sin(a))) / 2), 0, math.pi / 2, epsabs=1e-14)
    lnZ = 2 * K + math.log1p(math.exp(-4 * K)) + area / math.pi
    U = -(1 + 2 / math.pi * qF) / t
    C = 4 / math.pi * (K / t) ** 2 * (F - E - (1 - t * t) * (math.pi / 2 + qF))
    return PerSite(lnZ, float(U), float(C))
