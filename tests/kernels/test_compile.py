"""The compiler of word-table functions and the registry: closed code, threads, interruptions, loading without numba."""

from __future__ import annotations

import ctypes
import math
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from llvmlite import binding

import nbgraph_kernels as kernels
from nbgraph_kernels import machine, registry
from nbgraph_kernels.compile import compile_words, emit, translate
from nbgraph_kernels.language import LanguageError, helper
from nbgraph_kernels.load import ENTRY, load
from nbgraph_kernels.words import POINTERS, bits_to_f8, call, call_at, f8_to_bits, slot, stack

CallAt = Callable[..., int]
floats, integers, singles = POINTERS["f8"], POINTERS["i8"], POINTERS["f4"]


def run(code: str, *arguments: str) -> str:
    path = ["-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"]
    return subprocess.run([sys.executable, *path, *arguments], check=True, capture_output=True, text=True).stdout


def test_import_is_free_of_numba() -> None:
    code = "import nbgraph_kernels as k, nbgraph_kernels.references, nbgraph_kernels.arrays\n"
    code += "k.workspace('eigh', 'f8', 3), k.externals('matmul', 'f8'), k.address('dgemm')\n"
    assert run(code + "print('numba' in sys.modules)").strip() == "False"


def test_object_code_runs_where_numba_is_not_imported(tmp_path: Any) -> None:
    made = kernels.kernel("matmul", "f8")
    (tmp_path / "code").write_bytes(made.object_code)
    code = """
import ctypes, numpy as np, nbgraph_kernels as k
kernel = k.install("matmul", "f8", open(sys.argv[1], "rb").read(), sys.argv[2])
a = np.random.default_rng(1).random((1, 90, 90)); c = np.empty_like(a)
words = [*map(k.address, kernel.externals), *(x.ctypes.data for x in (c, a, a)), 1, 90, 90, 90]
words = np.array([*words, *([8100, 90, 1] * 3), 0, 0, 0])
status = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(kernel.address)(words.ctypes.data)
print(status, np.allclose(c, a @ a), 'numba' in sys.modules, k.kernel("matmul", "f8") is kernel)
"""
    assert run(code, str(tmp_path / "code"), made.symbol).split() == ["0", "True", "False", "True"]


def test_every_kernel_is_text_that_llvm_takes_for_every_dtype() -> None:
    """Their machine code is made where they are tested."""
    for name in kernels.names():
        declared = registry._declared(name)
        for dtype in kernels.dtypes(name):
            flags = {"fastmath": declared.fastmath, "builtin": declared.builtin}
            module = machine.parsed(str(translate(declared.build(name, dtype), **flags).module))
            module.verify()
            assert not module.get_function(ENTRY).is_declaration
            assert all(kernels.address(each) for each in kernels.externals(name, dtype))


def test_every_kernel_compiles_and_is_kept() -> None:
    for name in kernels.names():
        for dtype in kernels.dtypes(name)[-1:]:
            made = kernels.kernel(name, dtype)
            assert made is kernels.kernel(name, dtype)
            assert made.address and made.code_bytes == len(made.object_code) > 0


@pytest.mark.parametrize(("name", "dtype"), [("nothing", "f8"), ("solve", "i4"), ("matmul", "f2"), ("driver", "f8")])
def test_unknown_kernels_raise(name: str, dtype: str) -> None:
    with pytest.raises(LookupError, match=name):
        kernels.kernel(name, dtype)


def test_unknown_routine_raises() -> None:
    with pytest.raises(LookupError, match="dnothing"):
        kernels.address("dnothing")


def test_libm_is_found(call_at: CallAt) -> None:
    def exponential(w: Any) -> int:
        floats(w[0])[0] = math.exp(floats(w[0])[0])
        return 0

    x = np.array([1.25])
    made = compile_words(exponential)
    assert call_at(made, x) == 0
    assert x[0] == pytest.approx(math.exp(1.25), rel=1e-15)


def allocating(w: Any) -> int:
    x = np.zeros(w[0])
    x[w[1]] = 1
    return int(x.sum())


def raising(w: Any) -> int:
    if w[0] > 3:
        raise ValueError("too large")
    return 0


def stepping_by_zero(w: Any) -> int:
    total = 0
    for i in range(0, 10, w[0]):
        total += i
    return total


def printing(w: Any) -> int:
    print(w[0])
    return 0


@helper
def _stepping(step: Any) -> Any:
    total = 0
    for i in range(0, 10, step):
        total += i
    return total


def stepping_by_zero_inside(w: Any) -> int:
    return _stepping(w[0])


@pytest.mark.parametrize("function", [stepping_by_zero, stepping_by_zero_inside, printing, allocating, raising])
def test_code_that_may_raise_or_needs_python_is_refused(function: Any) -> None:
    with pytest.raises(LanguageError, match=r"line \d+ of .* may not allocate or raise"):
        compile_words(function)


def test_division_does_not_raise(call_at: CallAt) -> None:
    def divide(w: Any) -> int:
        floats(w[0])[0] = floats(w[0])[0] / floats(w[0])[1]
        return 0

    x = np.array([1.0, 0.0])
    assert call_at(compile_words(divide), x) == 0
    assert x[0] == np.inf


@pytest.mark.skipif(not binding.get_host_cpu_features().get("fma", True), reason="no fused multiply-add here")
def test_fastmath_contracts(call_at: CallAt) -> None:
    def multiply_add(w: Any) -> int:
        x = floats(w[0])
        x[3] = x[0] * x[1] + x[2]
        return 0

    a = 1 + 2.0**-30
    for flags, want in ((False, 0.0), ({"contract"}, 2.0**-60)):
        x = np.array([a, a, -(a * a), 9])
        call_at(compile_words(multiply_add, fastmath=flags), x)
        assert x[3] == want


def test_helpers_nest_and_serve_several_types(call_at: CallAt) -> None:
    @helper
    def double(x: Any) -> Any:
        return x + x

    @helper
    def fourfold(x: Any) -> Any:
        return double(double(x))

    @helper
    def put(x: Any, value: Any) -> None:
        x[0] = value

    def both(w: Any) -> int:
        put(floats(w[0]), fourfold(floats(w[0])[0]))
        put(integers(w[1]), fourfold(integers(w[1])[0]))
        return double(w[2])

    x, n = np.array([1.5]), np.array([3])
    assert call_at(compile_words(both), x, n, 21) == 42
    assert (x[0], n[0]) == (6.0, 12)


def test_calls_in_a_long_loop_do_not_grow_the_stack(call_at: CallAt) -> None:
    memory = stack(4096)

    def callee(w: Any) -> int:
        return w[0] + integers(w[1])[0]

    def caller(w: Any) -> int:
        total = 0
        for i in range(w[1]):
            piece = integers(memory())
            piece[511] = i
            total += call(w[0], (piece[511], slot(np.int64(1))))
        return total

    inner, outer = compile_words(callee), compile_words(caller)
    count = 1_000_000
    assert call_at(outer, inner.address, count) == count * (count - 1) // 2 + count


def test_bits(call_at: CallAt) -> None:
    def roundtrip(w: Any) -> int:
        return f8_to_bits(bits_to_f8(w[0]) * 2.0)

    x = np.array([0.3])
    assert call_at(compile_words(roundtrip), int(x.view(np.int64)[0])) == int((2 * x).view(np.int64)[0])


def test_threads_compile_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MADE", {})
    found: list[Any] = []
    asked = [("driver", ""), ("patch", ""), ("argmax", "i8"), ("argmax", "b1")] * 2
    threads = [threading.Thread(target=lambda ask=ask: found.append((ask, kernels.kernel(*ask)))) for ask in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(kernels.kernel(*ask) is made for ask, made in found)


def test_an_interrupted_compile_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MADE", {})

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(machine, "optimise", interrupt)
        with pytest.raises(KeyboardInterrupt):
            kernels.kernel("argmin", "i4")
    assert not registry._MADE
    assert kernels.kernel("argmin", "i4").address


def test_a_dropped_function_frees_its_code(call_at: CallAt) -> None:
    def seven(w: Any) -> int:
        return 7

    code = emit(seven)
    for _ in range(200):
        address, keepalive = load(code, "nbgraph_entry")
        assert call_at(address) == 7
        del keepalive
    with pytest.raises(LookupError, match="absent"):
        load(code, "absent")


def test_calls_release_the_interpreter_lock() -> None:
    """The kernel waits for what another thread of Python does; if it kept the lock, that never came."""

    def nothing(w: Any) -> int:
        return 0

    def wait(w: Any) -> int:
        """Says that it is there, then waits until the first word is 1: every look is behind a call, so it is one."""
        w[0] = 2
        for _ in range(2_000_000_000):
            if w[0] == 1:
                return 0
            call_at(w[1], w[2])
        return 1

    callee, waiter = compile_words(nothing, plain=True), compile_words(wait, plain=True)
    words, found = np.array([0, callee.address, 0]), []
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(waiter.address)
    thread = threading.Thread(target=lambda: found.append(function(words.ctypes.data)))
    thread.start()
    while words[0] == 0:
        pass
    words[0] = 1
    thread.join()
    assert found == [0]


def test_one_kernel_in_many_threads(random: Any) -> None:
    made = kernels.kernel("matmul", "f8")
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(made.address)
    failures: list[int] = []

    def work(seed: int) -> None:
        n = 20 + seed
        wide = random(seed, "f8", 1, n, 2 * n)
        a, c = wide[:, :, ::2], np.empty((1, n, n))
        strides = [n * n, n, 1, 2 * n * n, 2 * n, 2, 2 * n * n, 2 * n, 2]
        addresses = [*map(kernels.address, made.externals), c.ctypes.data, a.ctypes.data, a.ctypes.data]
        words = np.array([*addresses, 1, n, n, n, *strides, 0, 0, 0])
        for _ in range(50):
            function(words.ctypes.data)
            if not np.allclose(c, a @ a):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
