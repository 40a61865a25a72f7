"""The interpreter's functions of long programs: what operations name in them stays apart."""

from __future__ import annotations

import numpy as np
import pytest

import nbgraph as nbg

A, B, C = np.random.default_rng(0).standard_normal((3, 4))


@pytest.mark.parametrize("before", range(10))
def test_operations_at_any_place_have_names_of_their_own(before: int) -> None:
    """An outer product as operation 8 and a new axis as operation 18 both had something named `index18`."""
    engine = nbg.Engine(jit="never")
    for between in range(14):
        a, b, c = nbg.constant(A), nbg.constant(B), nbg.constant(C)
        for _ in range(before):
            a = nbg.sin(a)
        product = nbg.einsum("i,j->ji", a, b)
        for _ in range(between):
            product = nbg.sin(product)
        want = A
        for _ in range(before):
            want = np.sin(want)
        want = np.outer(B, want)
        for _ in range(between):
            want = np.sin(want)
        np.testing.assert_allclose((product + c[None]).eval(engine), want + C[None], rtol=1e-10)
