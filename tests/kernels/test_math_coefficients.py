"""The constants of vector mathematics are what their formulas give."""

from __future__ import annotations

import pytest

pytest.importorskip("mpmath", reason="the constants are fitted with mpmath: pip install mpmath")

from kernels import fits
from nbgraph_kernels.math import coefficients


@pytest.mark.parametrize("name", sorted(fits.constants()))
def test_constants(name: str) -> None:
    _, *texts = fits.constants()[name]
    assert getattr(coefficients, name) == tuple(eval(text) for text in texts)


def test_bits_of_two_over_pi() -> None:
    assert list(coefficients.TWO_OVER_PI) == fits.words(20)
