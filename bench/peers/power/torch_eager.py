"""PyTorch, eager: the plain loop, the check by `item()`, `backward()` through all of it."""

from __future__ import annotations

from typing import Any

from bench.peers import missing


def available() -> str | None:
    return missing("torch")


def make(n: int, K: int, data: Any) -> Any:
    import torch

    torch.set_num_threads(1)
    a0, x0 = torch.from_numpy(data.a), torch.from_numpy(data.x)

    def run() -> tuple[float, Any]:
        a, x = a0.clone().requires_grad_(True), x0
        for _ in range(K):
            y = a @ x
            new = y / torch.linalg.norm(y)
            delta = torch.linalg.norm(new - x)
            x = new
            if delta.item() < data.tol:
                break
        loss = x @ (a @ x)
        loss.backward()
        return loss.item(), a.grad.numpy()

    return run
