"""One energy of an infinite tensor network, and its gradient through the whole CTMRG loop."""

from __future__ import annotations

from typing import Any

SIZE = "D = 2, chi = 16, one energy and gradient"
D, CHI, TOL, MOST = 2, 16, 1e-10, 200
TOLERANCE = 1e-6
NOTE = "PyTorch with a backward pass of its own for the decomposition: the one it has gives NaN"


def start() -> Any:
    import numpy as np

    return np.random.default_rng(0).random((2, D, D, D, D))


def nbgraph(engine: Any) -> Any:
    import nbgraph as nbg
    from nbgraph.examples.ipeps import environment, measure, symmetric

    def run() -> Any:
        leaf = nbg.TracedTensor.from_tensor(start())
        A = symmetric(leaf)
        energy, _ = measure(A, *environment(A, CHI, MOST, TOL, engine))
        return list(nbg.eval(energy, energy.grad(leaf), engine=engine))

    return run


def torch() -> Any:
    import numpy as np
    import torch as th

    from bench.peers.examples.torch_factors import eigh
    from nbgraph.examples.ipeps import BOND, SQUARE, largest

    bond = th.from_numpy(np.ascontiguousarray(BOND))

    def environment(A: Any) -> Any:
        a = th.einsum("suldr,sULDR->uUlLdDrR", A, A).reshape((D * D,) * 4)
        C = th.einsum("suldr,sulDR->dDrR", A, A).reshape(D * D, D * D)
        T = th.einsum("suldr,suLDR->lLdDrR", A, A).reshape(D * D, D * D, D * D)
        spectrum = np.zeros(0)
        for _ in range(MOST):
            size = C.shape[0] * D * D
            M = th.einsum("pq,xlp,qky,klij->xiyj", C, T, T, a).reshape(size, size)
            w, v = eigh((M + M.T) / 2)
            previous, (order, spectrum) = spectrum, largest(w.detach().numpy(), CHI)
            P = v[:, order.copy()]
            C = P.T @ M @ P
            P = P.reshape(-1, D * D, len(order))
            T = th.einsum("pkq,kilj,pix,qjy->xly", T, a, P, P)
            C, T = (C + C.T) / 2, (T + T.permute(2, 1, 0)) / 2
            C, T = C / th.linalg.norm(C), T / th.linalg.norm(T)
            if len(spectrum) == len(previous) and np.max(abs(spectrum - previous)) < TOL:
                break
        return C, T

    def run() -> Any:
        leaf = th.from_numpy(start()).requires_grad_()
        A = sum(leaf.permute(0, *(1 + k for k in p)) for p in SQUARE)
        A = A / th.linalg.norm(A)
        C, T = environment(A)
        chi = C.shape[0]
        edge = th.einsum("pq,pLm,mn->qLn", C, T, C).reshape(chi, D, D, chi)
        rows = T.reshape(chi, D, D, chi)
        half = th.einsum("qlLn,quUx,ndDy,suldr,tULDR->xyrRst", edge, rows, rows, A, A)
        rho = th.einsum("xyrRst,xyrRSU->sStU", half, half)
        energy = 2 * th.sum(rho.reshape(4, 4) * bond) / th.einsum("sSsS->", rho)
        energy.backward()
        return [energy.item(), leaf.grad.numpy()]

    return run
