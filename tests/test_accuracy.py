"""The page of accuracy, made from a few of its rows; and that the rows hold what it says."""

from __future__ import annotations

import pytest

pytest.importorskip("mpmath")

from bench import accuracy
from bench.matrices import hard_matrices

UNIT = 2.3e-16


@pytest.mark.parametrize("name", ["solve", "cholesky", "expm"])
def test_errors_are_those_of_the_condition(name):
    for row in accuracy.rows([name]):
        assert row.forward <= 100 * UNIT * row.condition + 1e-13
        assert row.derivative <= 1000 * UNIT * row.condition + 1e-13
        assert row.backward is None or row.backward < 5


def test_decompositions_are_backward_stable():
    for function, matrix, product, orthogonality in accuracy.decompositions():
        assert product < 20 and orthogonality < 50, (function, matrix)


def test_a_plane_keeps_its_digits_where_the_gap_in_it_closes():
    rows = {r.matrix: r for r in accuracy.rows(["eigh, plane of two"])}
    assert rows["gap 1e-14"].derivative < 1e-13 and rows["gap 1e-12"].derivative < 1e-13
    assert rows["gap 1e-06"].derivative < 1e-8


def test_page():
    text = accuracy.page(list(accuracy.rows(["eigvalsh"])))
    assert all(name in text for name, _ in hard_matrices()) and "## eigvalsh" in text
