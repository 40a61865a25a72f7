"""The open Heisenberg chain by two-site DMRG, and its gradient by every coupling."""

from __future__ import annotations

from typing import Any

SIZE = "N = 10, chi = 32"
N, CHI, SWEEPS = 10, 32, 10
TOLERANCE = 1e-7
NOTE = "PyTorch with a backward pass of its own for the decompositions: those it has give NaN"


def nbgraph(engine: Any) -> Any:
    import nbgraph as nbg
    from nbgraph.examples.dmrg import ground_state

    def run() -> Any:
        ground = ground_state([1.0] * (N - 1), CHI, SWEEPS, engine=engine)
        return list(nbg.eval(ground.E, ground.E.grad(ground.J), engine=engine))

    return run


def torch() -> Any:
    import numpy as np
    import torch as th

    from bench.peers.examples.torch_factors import eigh, left_vectors
    from nbgraph.examples.dmrg import COUPLED, FIXED, product_state

    fixed, coupled = th.from_numpy(FIXED), th.from_numpy(COUPLED)

    def lanczos(L: Any, W: Any, X: Any, R: Any, x: Any, steps: int = 8) -> Any:
        basis, diagonal, beside = [x / th.linalg.norm(x)], [], []
        while True:
            w = th.einsum("akA,ASTB->akSTB", L, basis[-1])
            w = th.einsum("klsS,akSTB->alsTB", W, w)
            w = th.einsum("lmtT,alsTB->asmtB", X, w)
            w = th.einsum("asmtB,bmB->astb", w, R)
            diagonal.append(th.sum(basis[-1] * w))
            w = w - diagonal[-1] * basis[-1]
            if beside:
                w = w - beside[-1] * basis[-2]
            norm = th.linalg.norm(w)
            if norm.item() < 1e-7 or len(basis) == steps:
                break
            beside.append(norm)
            basis.append(w / norm)
        if not beside:
            return diagonal[0], basis[0]
        off = th.diag(th.stack(beside), 1)
        w, y = eigh(th.diag(th.stack(diagonal)) + off + off.T)
        return w[0], th.tensordot(y[:, 0], th.stack(basis), 1)

    def vectors(x: Any) -> Any:
        a, s, t, b = x.shape
        U, S = left_vectors(x.reshape(a * s, t * b))
        size = S.detach().numpy()
        count = min(CHI, int(np.sum(size > 1e-8 * size[0])))
        whole = [n for n in range(1, count + 1) if n == len(size) or size[n] < (1 - 1e-4) * size[n - 1]]
        rank = whole[-1] if whole else count
        return U[:, :rank].reshape(a, s, rank)

    def grow_left(L: Any, W: Any, A: Any) -> Any:
        y = th.einsum("klsS,akSB->alsB", W, th.einsum("akA,ASB->akSB", L, A))
        return th.einsum("asb,alsB->blB", A, y)

    def grow_right(R: Any, W: Any, A: Any) -> Any:
        y = th.einsum("kmsS,bmSA->bksA", W, th.einsum("bmB,ASB->bmSA", R, A))
        return th.einsum("asb,bksA->akA", A, y)

    def run() -> Any:
        J = th.ones(N - 1, dtype=th.float64, requires_grad=True)
        W = [*(fixed + j * coupled for j in J.unbind()), fixed]
        A = [th.from_numpy(x) for x in product_state(N, 0)]
        end = th.eye(5, dtype=th.float64)
        L, R = [end[0].reshape(1, 5, 1)] * N, [end[4].reshape(1, 5, 1)] * N
        for i in range(N - 1, 1, -1):
            R[i - 1] = grow_right(R[i], W[i], A[i])
        E, before = th.zeros(()), np.inf
        for _ in range(SWEEPS):
            for i in range(N - 2):
                E, x = lanczos(L[i], W[i], W[i + 1], R[i + 1], th.tensordot(A[i], A[i + 1], 1))
                A[i] = vectors(x)
                A[i + 1] = th.einsum("asr,astb->rtb", A[i], x)
                L[i + 1] = grow_left(L[i], W[i], A[i])
            for i in range(N - 2, -1, -1):
                E, x = lanczos(L[i], W[i], W[i + 1], R[i + 1], th.tensordot(A[i], A[i + 1], 1))
                A[i + 1] = vectors(x.permute(2, 3, 0, 1)).permute(2, 0, 1)
                A[i] = th.einsum("astb,rtb->asr", x, A[i + 1])
                R[i] = grow_right(R[i + 1], W[i + 1], A[i + 1])
            energy = E.item()
            if abs(energy - before) < 1e-12 * max(1.0, abs(energy)):
                break
            before = energy
        E.backward()
        return [E.item(), J.grad.numpy()]

    return run
