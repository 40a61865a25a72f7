"""Loops whose ranks the data change from step to step: physics and fits that are known, and that nothing is compiled
again once every structure was there."""

import numpy as np
import pytest

import nbgraph as nbg
from bench.growing import EXACT
from bench.peers.growing import nbgraph_sweep, sweep
from nbgraph.examples import cp_als
from nbgraph.examples.ising_trg import EVEN

NEVER = nbg.Engine(jit="never")


def subspace(a, k, steps, engine):
    """Power iteration of several vectors; those that became parallel to others are dropped. Ritz values and ranks."""
    x, ranks = nbg.constant(np.random.default_rng(k).standard_normal((a.shape[0], k))), []
    for _ in range(steps):
        u = nbg.linalg.svd_truncated(a @ x, rtol=0.3).U
        x = u * 1.0
        x.eval(engine)
        ranks.append(x.shape[1])
    return nbg.linalg.trace(x.T @ (a @ x)), ranks


def spectrum(n, values):
    q, _ = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))
    full = np.concatenate([values, np.full(n - len(values), 1e-3)])
    return nbg.TracedTensor.from_tensor((q * full) @ q.T)


def test_subspace_iteration_loses_what_is_small_and_compiles_nothing_again():
    engine, compiled = nbg.Engine(jit="always"), []
    for n, k, values in ((7, 6, [5.0, 3.0, 2.5]), (9, 5, [4.0, 3.0]), (8, 7, [3.0, 2.0, 1.5, 1.2])):
        a = spectrum(n, values)
        total, ranks = subspace(a, k, 5, engine)
        assert len(set(ranks)) > 1
        np.testing.assert_allclose(total.eval(engine), sum(values), rtol=1e-6)
        # Of an invariant subspace: the projector onto it.
        g = total.grad(a).eval(NEVER)
        w, v = np.linalg.eigh(a.eval())
        kept = v[:, np.argsort(w)[::-1][: len(values)]]
        np.testing.assert_allclose(g + g.T, 2 * kept @ kept.T, atol=1e-2)
        compiled.append(engine.stats().compiled)
    assert compiled[0] > 0
    assert compiled[1:] == compiled[:1] * 2


def pruned(T, rank, sweeps, engine):
    """ALS that drops components which no longer weigh anything; the relative errors and the ranks."""
    rng = np.random.default_rng(4)
    factors = [nbg.constant(rng.standard_normal((n, rank))) for n in T.shape]
    errors, ranks = [], []
    for _ in range(sweeps):
        factors, error = cp_als.sweep(T, factors, 1e-3)
        weights = nbg.prod(nbg.stack([nbg.linalg.norm(f, axis=0) for f in factors]), 0)
        kept = nbg.flatnonzero(weights > 0.12 * weights.max())
        factors = [f[:, kept] for f in factors]
        nbg.eval(error, *factors, engine=engine)
        errors.append(error)
        ranks.append(factors[0].shape[1])
    return errors, ranks


def test_als_drops_components_and_compiles_nothing_again():
    rng, compiled, engine = np.random.default_rng(0), [], nbg.Engine(jit="always")
    for shape, rank in (((5, 4, 6), 5), ((6, 5, 4), 6), ((7, 6, 5), 7)):
        T = nbg.TracedTensor.from_tensor(np.einsum("ir,jr,kr->ijk", *(rng.random((n, 2)) for n in shape)))
        errors, ranks = pruned(T, rank, 8, engine)
        assert ranks[-1] < rank
        assert float(errors[-1]) < 0.2
        compiled.append(engine.stats().compiled)
    assert compiled[1:] == compiled[:1] * 2


def trg(K, chi, steps, evaluate, engine):
    """lnZ per site of the Ising model, as `nbgraph.examples.ising_trg`, the ranks in the graph."""
    root = nbg.sqrt(nbg.stack([2 * nbg.cosh(K), 2 * nbg.sinh(K)]))
    T, lnZ = nbg.einsum("i,j,k,l,ijkl->ijkl", root, root, root, root, EVEN), nbg.constant(0.0)
    for n in range(steps):
        D = T.shape[0]
        largest = nbg.max(nbg.abs(T))
        T = T / largest
        lnZ = lnZ + nbg.log(largest) / 2**n
        Ua, Sa, Va = nbg.linalg.svd(nbg.transpose(T, (2, 1, 0, 3)).reshape(D * D, D * D))
        Ub, Sb, Vb = nbg.linalg.svd(nbg.transpose(T, (3, 2, 1, 0)).reshape(D * D, D * D))
        rank = nbg.minimum(nbg.minimum((Sa > 1e-15).sum(), (Sb > 1e-15).sum()), chi)
        halves = []
        for U, S, V in ((Ua, Sa, Va), (Ub, Sb, Vb)):
            s = nbg.sqrt(nbg.truncate(S, rank))
            r = s.shape[0]
            halves += [(nbg.truncate(U, rank, 1) * s).reshape(D, D, r)]
            halves += [(nbg.truncate(V, rank).T * s).reshape(D, D, r)]
        A1, A2, B1, B2 = halves
        upper, lower = nbg.einsum("war,abu->wrbu", A1, B1), nbg.einsum("bgl,gwd->blwd", A2, B2)
        T = nbg.einsum("wrbu,blwd->ruld", upper, lower)
        if evaluate:
            T.eval(engine)
    return lnZ + nbg.log(nbg.einsum("ijij->", T)) / 2**steps


@pytest.mark.parametrize("evaluate", [False, True])
def test_trg_with_ranks_in_the_graph(evaluate):
    K = nbg.TracedTensor.from_tensor(0.4)
    lnZ = trg(K, 8, 20, evaluate, NEVER)
    U = -lnZ.grad(K)
    C = -(K**2) * U.grad(K)
    values = nbg.eval(lnZ, U, C, engine=NEVER)
    np.testing.assert_allclose(values[0], 0.8793168146706618, atol=1e-9)
    np.testing.assert_allclose(values[1], -1.10529632065904, atol=1e-9)
    np.testing.assert_allclose(values[2], 0.86064272121, atol=1e-6)


def test_trg_compiles_nothing_again():
    engine, compiled = nbg.Engine(jit="always"), []
    for chi, steps in ((4, 5), (6, 6), (8, 7)):
        trg(nbg.TracedTensor.from_tensor(0.4), chi, steps, True, engine).eval(engine)
        compiled.append(engine.stats().compiled)
    assert compiled[1:] == compiled[:1] * 2


def energies(chi, sites, jit):
    return nbgraph_sweep.make(chi, sites, lambda K: sweep.data_for(chi, K), jit=jit)()[1]


def test_dmrg_with_a_growing_bond_dimension_is_exact():
    found = energies(32, 12, "never")
    assert abs(found[-1] - EXACT[12]) < 1e-9
    assert np.all(np.diff(found) < 1e-12)


def test_dmrg_compiles_nothing_when_the_bond_dimension_grows(monkeypatch):
    monkeypatch.setattr(sweep, "KRYLOV", 2)
    compiled = []
    for chi, sites in ((4, 5), (8, 6), (16, 8)):
        energies(chi, sites, "always")
        compiled.append(nbgraph_sweep.engine("always").stats().compiled)
    assert compiled[1:] == compiled[:1] * 2
