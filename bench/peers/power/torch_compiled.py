"""PyTorch, compiled: the loop over a fixed number of steps under `torch.compile`, which unrolls it."""

from __future__ import annotations

from typing import Any

from bench.peers import missing

NOTE = "fixed K, no data-dependent stop; compile time grows with K, so only with --no-limits"
SLOW = True


def available() -> str | None:
    return missing("torch")


def limit(n: int, K: int) -> str | None:
    return "compiles for tens of seconds"


def make(n: int, K: int, data: Any) -> Any:
    import torch

    torch.set_num_threads(1)
    a0, x0 = torch.from_numpy(data.a), torch.from_numpy(data.x)

    @torch.compile
    def loss_of(a: Any, x: Any) -> Any:
        deltas = []
        for _ in range(K):
            y = a @ x
            new = y / torch.linalg.norm(y)
            deltas.append(torch.linalg.norm(new - x))
            x = new
        return x @ (a @ x), torch.stack(deltas)

    def run() -> tuple[float, Any]:
        a = a0.clone().requires_grad_(True)
        loss, deltas = loss_of(a, x0)
        if bool((deltas < data.tol).any()):
            raise RuntimeError("converged before the last step")
        loss.backward()
        return loss.item(), a.grad.numpy()

    return run
