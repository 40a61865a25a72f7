"""Tensor renormalisation of the 2D Ising model: lnZ and its derivative through 20 truncations."""

from __future__ import annotations

from typing import Any

SIZE = "chi = 8, 20 steps, one derivative"
K, CHI, STEPS = 0.4, 8, 20
TOLERANCE = 1e-7
NOTE = "PyTorch with a backward pass of its own for the decomposition: the one it has gives NaN"


def nbgraph(engine: Any) -> Any:
    import nbgraph as nbg
    from nbgraph.examples.ising_trg import free_energy

    def run() -> Any:
        leaf = nbg.TracedTensor.from_tensor(K)
        lnZ = free_energy(leaf, CHI, STEPS, engine)
        return list(nbg.eval(lnZ, lnZ.grad(leaf), engine=engine))

    return run


def torch() -> Any:
    import torch as th

    from bench.peers.examples.torch_factors import svd
    from nbgraph.examples.ising_trg import EVEN, SMALLEST

    even = th.from_numpy(EVEN)

    def run() -> Any:
        leaf = th.tensor(K, dtype=th.float64, requires_grad=True)
        root = th.sqrt(th.stack([2 * th.cosh(leaf), 2 * th.sinh(leaf)]))
        T = th.einsum("i,j,k,l,ijkl->ijkl", root, root, root, root, even)
        lnZ = th.zeros((), dtype=th.float64)
        for n in range(STEPS):
            D = T.shape[0]
            largest = th.max(th.abs(T))
            T = T / largest
            lnZ = lnZ + th.log(largest) / 2**n
            Ua, Sa, Va = svd(T.permute(2, 1, 0, 3).reshape(D * D, D * D))
            Ub, Sb, Vb = svd(T.permute(3, 2, 1, 0).reshape(D * D, D * D))
            rank = min(CHI, *(int((S > SMALLEST).sum()) for S in (Sa, Sb)))
            a, b = th.sqrt(Sa[:rank]), th.sqrt(Sb[:rank])
            A1, A2 = (Ua[:, :rank] * a).reshape(D, D, rank), (Va[:rank].T * a).reshape(D, D, rank)
            B1, B2 = (Ub[:, :rank] * b).reshape(D, D, rank), (Vb[:rank].T * b).reshape(D, D, rank)
            upper, lower = th.einsum("war,abu->wrbu", A1, B1), th.einsum("bgl,gwd->blwd", A2, B2)
            T = th.einsum("wrbu,blwd->ruld", upper, lower)
        lnZ = lnZ + th.log(th.einsum("ijij->", T)) / 2**STEPS
        lnZ.backward()
        return [lnZ.item(), leaf.grad.item()]

    return run
