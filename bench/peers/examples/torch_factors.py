"""Factorisations for PyTorch whose backward pass masks gaps and values next to zero, as nbgraph's does.

PyTorch's own divide by them and give NaN in both tensor networks. Formulas: Liao, Liu, Wang and Xiang, Phys. Rev. X 9,
031041 (2019), for real matrices; the singular value decomposition of square ones, the left vectors of any.
"""

from __future__ import annotations

from typing import Any

import torch

SMALLEST = 1e-10  #: relative to the largest value


def inverse(x: Any, scale: Any) -> Any:
    """1/x, and zero where that is next to nothing."""
    small = torch.abs(x) <= SMALLEST * scale
    return torch.where(small, 0.0, 1 / torch.where(small, 1.0, x))


class Eigh(torch.autograd.Function):
    """Eigenvalues and vectors of a symmetric matrix."""

    @staticmethod
    def forward(ctx: Any, A: Any) -> Any:
        w, v = torch.linalg.eigh(A)
        ctx.save_for_backward(w, v)
        return w, v

    @staticmethod
    def backward(ctx: Any, dw: Any, dv: Any) -> Any:
        w, v = ctx.saved_tensors
        F = inverse(w - w[:, None], torch.max(torch.abs(w)))
        return v @ (torch.diag(dw) + F * (v.T @ dv)) @ v.T


class Svd(torch.autograd.Function):
    """U, S and V^T of a square matrix."""

    @staticmethod
    def forward(ctx: Any, A: Any) -> Any:
        U, S, Vt = torch.linalg.svd(A)
        ctx.save_for_backward(U, S, Vt)
        return U, S, Vt

    @staticmethod
    def backward(ctx: Any, dU: Any, dS: Any, dVt: Any) -> Any:
        U, S, Vt = ctx.saved_tensors
        F, G = inverse(S - S[:, None], S[0]), inverse(S + S[:, None], S[0])
        UdU, VdV = U.T @ dU, Vt @ dVt.T
        turned = (F + G) * (UdU - UdU.T) / 2 + (F - G) * (VdV - VdV.T) / 2
        return U @ (turned + torch.diag(dS)) @ Vt


class LeftVectors(torch.autograd.Function):
    """U of the thin decomposition, and S, whose cotangent does not count."""

    @staticmethod
    def forward(ctx: Any, A: Any) -> Any:
        U, S, Vt = torch.linalg.svd(A, full_matrices=False)
        ctx.save_for_backward(U, S, Vt)
        return U, S

    @staticmethod
    def backward(ctx: Any, dU: Any, dS: Any) -> Any:
        U, S, Vt = ctx.saved_tensors
        UdU = U.T @ dU
        J = inverse(S * S - (S * S)[:, None], S[0] ** 2) * UdU
        outside = (dU - U @ UdU) * inverse(S, S[0])
        return (U @ ((J + J.T) * S) + outside) @ Vt


eigh, left_vectors, svd = Eigh.apply, LeftVectors.apply, Svd.apply
