"""`nbg.fft` against NumPy, in both tiers, with derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import Engine, TracedTensor
from nbgraph.testing import check_grads

leaf = TracedTensor.from_tensor
ALWAYS, NEVER = Engine(jit="always"), Engine(jit="never")
NORMS = (None, "backward", "ortho", "forward")


def signal(*shape, code="c16"):
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if code[0] == "c" else 0)).astype(code)


def agree(name, x, *args, engine=NEVER, **kwargs):
    want = getattr(np.fft, name)(x, *args, **kwargs)
    got = getattr(np.fft, name)(leaf(x), *args, **kwargs)  # by way of __array_function__
    assert isinstance(got, TracedTensor)
    got = got.eval(engine)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    eps = np.finfo(want.dtype).eps * (2 + np.log2(max(x.size, 2)))
    np.testing.assert_allclose(got, want, rtol=0, atol=4 * eps * np.max(np.abs(want), initial=1e-300))


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("engine", [NEVER, ALWAYS], ids=["never", "always"])
def test_one_axis(name, engine):
    code = "f8" if name in ("rfft", "ihfft") else "c16"
    for norm in NORMS:
        agree(name, signal(3, 6, code=code), norm=norm, engine=engine)
    for n in (1, 4, 5, 9):
        for axis in (0, 1):
            agree(name, signal(3, 6, code=code), n, axis, engine=engine)
    agree(name, signal(8, code="f4" if code == "f8" else "c8"), engine=engine)


@pytest.mark.parametrize("n", [2, 3, 5, 7, 8, 30, 64, 67, 121, 134, 257, 1009, 4096, 4097, 10007])
def test_lengths(n):
    """Powers, products, primes small (summed) and large (as a convolution), lines together and one by one."""
    for name in ("fft", "ifft", "rfft"):
        agree(name, signal(n, code="f8" if name == "rfft" else "c16"), engine=ALWAYS)
    agree("irfft", signal(n // 2 + 1), n, engine=ALWAYS)
    if n < 1000:
        agree("fft", signal(9, n, 2), axis=1, engine=ALWAYS)


def test_several_axes():
    for name in ("fftn", "ifftn", "rfftn", "irfftn"):
        x = signal(3, 4, 5, code="f8" if name == "rfftn" else "c16")
        agree(name, x)
        agree(name, x, axes=(0, 2), norm="ortho")
        agree(name, x, s=(2, 6), axes=(1, 0))
    for name in ("fft2", "ifft2", "rfft2", "irfft2"):
        agree(name, signal(3, 4, 5, code="f8" if name == "rfft2" else "c16"), norm="forward")


def test_order_and_frequencies():
    for name in ("fftshift", "ifftshift"):
        for axes in (None, 0, (0, 1)):
            agree(name, signal(5, 4, code="f8"), axes)
    np.testing.assert_array_equal(nbg.fft.fftfreq(5, 0.5).eval(), np.fft.fftfreq(5, 0.5))
    np.testing.assert_array_equal(nbg.fft.rfftfreq(5).eval(), np.fft.rfftfreq(5))


DERIVATIVES = (
    (lambda x: nbg.fft.fft(x) ** 2, "c16"),
    (lambda x: nbg.fft.ifft(x, 7, 0, "ortho") ** 2, "c16"),
    (lambda x: nbg.abs(nbg.fft.fft(x)) ** 2, "f8"),
    (lambda x: nbg.fft.rfft(x) ** 2, "f8"),
    (lambda x: nbg.fft.rfft(x, 5) ** 2, "f8"),
    (lambda x: nbg.fft.irfft(x) ** 2, "c16"),
    (lambda x: nbg.fft.irfft(x, 5, 0) ** 2, "c16"),
    (lambda x: nbg.fft.hfft(x) ** 2, "c16"),
    (lambda x: nbg.fft.ihfft(x) ** 2, "f8"),
    (lambda x: nbg.fft.irfftn(nbg.fft.rfftn(x) ** 2), "f8"),
    (lambda x: nbg.fft.fftshift(nbg.fft.fft2(x)) ** 2 * nbg.arange(4), "c16"),
)


def test_derivatives():
    for f, code in DERIVATIVES:
        check_grads(f, (signal(3, 4, code=code),), order=2)
    made = []
    for engine in (NEVER, ALWAYS):
        outs = []
        for f, code in DERIVATIVES:
            t = leaf(signal(3, 4, code=code))
            gradient = nbg.sum(nbg.abs(f(t)) ** 2).grad(t)
            outs += [gradient, nbg.sum(nbg.abs(gradient) ** 2).grad(t)]
        made.append(nbg.eval(*outs, engine=engine))
    for got, want in zip(*made, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11 * np.max(np.abs(want)))


def test_symbolic_lengths_and_no_lines():
    x = TracedTensor.placeholder(("n",), name="x")
    loss = nbg.sum(nbg.abs(nbg.fft.rfft(x, norm="ortho")) ** 2)
    for engine in (NEVER, ALWAYS):
        for n in (4, 7):
            a = signal(n, code="f8")
            got = nbg.eval(loss, loss.grad(x), engine=engine, bindings={x: a})
            np.testing.assert_allclose(got[0], np.sum(np.abs(np.fft.rfft(a, norm="ortho")) ** 2), rtol=1e-13)
            mirrored = np.fft.rfft(a)
            mirrored[1 : (n + 1) // 2] /= 2
            np.testing.assert_allclose(got[1], 2 * np.fft.irfft(mirrored, n), atol=1e-13)
        assert nbg.fft.fft(nbg.zeros((0, 4))).eval(engine).shape == (0, 4)


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda x: nbg.fft.fft(x, 0), nbg.ShapeError),
        (lambda x: nbg.fft.fft(nbg.zeros(0)), nbg.ShapeError),
        (lambda x: nbg.fft.fft(x, axis=2), nbg.BoundsError),
        (lambda x: nbg.fft.fft(3.0), nbg.BoundsError),
        (lambda x: nbg.fft.fft(x, norm="half"), nbg.ShapeError),
        (lambda x: nbg.fft.hfft(x, norm="half"), nbg.ShapeError),
        (lambda x: nbg.fft.rfft(x * 1j), nbg.DtypeError),
        (lambda x: nbg.fft.irfft(x[:, :1]), nbg.ShapeError),
        (lambda x: nbg.fft.fftn(x, s=(1, 2), axes=(0,)), nbg.ShapeError),
        (lambda x: nbg.fft.rfftn(x, axes=(2,)), nbg.BoundsError),
        (lambda x: nbg.fft.rfft2(x, axes=0), nbg.DtypeError),
    ],
)
def test_what_does_not_fit_is_refused(f, error):
    with pytest.raises(error) as caught:
        f(leaf(np.ones((3, 4))))
    assert "test_fft.py" in str(caught.value)
