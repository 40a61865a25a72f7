"""Alternating least squares on the 2x2 matrix-multiplication tensor, and the fit's gradient by the tensor."""

from __future__ import annotations

from typing import Any

SIZE = "4x4x4, rank 7, 50 sweeps"
RANK, SWEEPS, L2 = 7, 50, 1e-3
TOLERANCE = 1e-6


def tensor() -> Any:
    import numpy as np

    from nbgraph.examples.cp_als import matrix_multiplication

    return matrix_multiplication(2) + 0.1 * np.random.default_rng(0).standard_normal((4, 4, 4))


def nbgraph(engine: Any) -> Any:
    import nbgraph as nbg
    from nbgraph.examples.cp_als import als

    def run() -> Any:
        T = nbg.TracedTensor.from_tensor(tensor())
        error = als(T, RANK, SWEEPS, 0, L2, tol=0.0, engine=engine)[1][-1]
        return list(nbg.eval(error, error.grad(T), engine=engine))

    return run


def torch() -> Any:
    import numpy as np
    import torch as th

    def solve(X: Any, B: Any, C: Any) -> Any:
        G = (B.T @ B) * (C.T @ C)
        return th.linalg.solve(G + L2 * th.eye(RANK, dtype=th.float64), X.T).T

    def run() -> Any:
        T = th.from_numpy(tensor()).requires_grad_()
        rng = np.random.default_rng(0)
        A, B, C = (th.from_numpy(rng.standard_normal((n, RANK))) for n in T.shape)
        for _ in range(SWEEPS):
            A = solve(th.einsum("ijk,jr,kr->ir", T, B, C), B, C)
            B = solve(th.einsum("ijk,ir,kr->jr", T, A, C), A, C)
            C = solve(th.einsum("ijk,ir,jr->kr", T, A, B), A, B)
            rest = T - th.einsum("ir,jr,kr->ijk", A, B, C)
            error = th.linalg.norm(rest) / th.linalg.norm(T)
            error.item()
        error.backward()
        return [error.item(), T.grad.numpy()]

    return run
