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


def power_iteration(a, k, steps, engine):
    """Of k vectors at once, without those that became small beside the first; what they give of the leading eigenvalue,
    and how many there were."""
    x, ranks = nbg.constant(np.random.default_rng(k).standard_normal((a.shape[0], k))), []
    for _ in range(steps):
        u, s, _ = nbg.linalg.svd_truncated(a @ x, rtol=0.05)
        x = u * (s / s[0])
        x.eval(engine)
        ranks.append(x.shape[1])
    v = x[:, 0]
    return (v @ (a @ v)) / (v @ v), ranks


def with_spectrum(n, values):
    q, _ = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))
    full = np.concatenate([values, np.full(n - len(values), 1e-3)])
    return nbg.TracedTensor.from_tensor((q * full) @ q.T)


def test_power_iteration_with_changing_ranks():
    engine, compiled = nbg.Engine(jit="always"), []
    for n, k, values in ((7, 6, [4.0, 2.0, 1.5]), (9, 5, [5.0, 3.0, 2.5, 1.0]), (8, 7, [3.0, 1.6, 1.5, 1.2])):
        a = with_spectrum(n, values)
        value, ranks = power_iteration(a, k, 12, engine)
        assert len(set(ranks)) > 2
        np.testing.assert_allclose(value.eval(engine), values[0], rtol=1e-4)
        v = np.linalg.eigh(a.eval())[1][:, -1]
        np.testing.assert_allclose(value.grad(a).eval(NEVER), np.outer(v, v), atol=0.05)
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


def test_als_drops_components_and_meets_no_new_structure():
    """Of sizes for which einsum chooses one order."""
    rng, found, engine = np.random.default_rng(0), [], nbg.Engine(jit="never")
    for shape in ((5, 4, 6), (4, 5, 7), (5, 5, 6)):
        T = nbg.TracedTensor.from_tensor(np.einsum("ir,jr,kr->ijk", *(rng.random((n, 3)) for n in shape)))
        errors, ranks = pruned(T, 5, 8, engine)
        assert ranks[-1] < 5
        assert float(errors[-1]) < 0.2
        found.append(engine.stats().fragments)
    assert found[1:] == found[:1] * 2


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
            nbg.eval(T, lnZ, engine=engine)
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


def test_trg_meets_no_new_structure():
    engine, found = nbg.Engine(jit="never"), []
    for chi, steps in ((4, 5), (6, 6), (8, 7)):
        trg(nbg.TracedTensor.from_tensor(0.4), chi, steps, True, engine).eval(engine)
        found.append(engine.stats().fragments)
    assert found[1:] == found[:1] * 2


def energies(chi, sites):
    return nbgraph_sweep.make(chi, sites, lambda K: sweep.data_for(chi, K), jit="never")()[1]


def test_dmrg_with_a_growing_bond_dimension():
    """Exact at the end; what a short chain and a small bond dimension have shown is all there is."""
    found = []
    for chi, sites in ((4, 6), (8, 7), (32, 12)):
        found_energies = energies(chi, sites)
        assert np.all(np.diff(found_energies) < 1e-12)
        found.append(nbgraph_sweep.engine("never").stats().fragments)
    assert abs(found_energies[-1] - EXACT[12]) < 1e-9
    assert found[1:] == found[:1] * 2
