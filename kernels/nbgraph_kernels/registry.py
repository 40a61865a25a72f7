"""The kernels there are, and the machine code of those asked for so far.

In:    a kernel's name and dtype code.
Out:   `Kernel`: its address, what it needs from BLAS and LAPACK, and its object code.
Holds: a kernel is compiled at the first ask, once in a process, under a lock; an interrupted compile leaves
       no trace. numba is imported by the first compile of a kernel that a user declared, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from . import sizes, sizes_banded, sizes_factors, sizes_functions, sizes_lu
from .first_compile import first_compile
from .load import load
from .locks import lock

_REAL = ("f4", "f8")
_COMPLEX = ("c8", "c16")
_LETTER = {"f4": "s", "f8": "d", "c8": "c", "c16": "z"}


@dataclass(frozen=True)
class Kernel:
    """One compiled kernel.

    A call's words are the addresses of `externals`, in order (see `pointers.address`), then the kernel's
    own arguments, which the kernel's module lists. `address` is valid while the object lives; the registry
    keeps it for good.
    """

    name: str
    dtype: str
    address: int
    externals: tuple[str, ...]
    code_bytes: int
    object_code: bytes = field(repr=False)
    symbol: str = field(repr=False)
    keepalive: Any = field(repr=False)


@dataclass(frozen=True)
class _Declaration:
    """Where a kernel is made (`module.build(name, dtype)` gives the Python function), and what it needs."""

    module: str
    dtypes: tuple[str, ...]
    externals: Callable[[str], tuple[str, ...]] = lambda dtype: ()
    workspace: Callable[..., Any] = lambda dtype, *sizes: 0
    fastmath: frozenset[str] = frozenset()
    builtin: bool = False  # see `compile.compile_words`
    plain: bool = False  # the same

    def build(self, name: str, dtype: str) -> Callable[[Any], int]:
        """The Python function of the kernel."""
        made: Callable[[Any], int] = import_module(f".{self.module}", __package__).build(name, dtype)
        return made

    def compiled(self, name: str, dtype: str) -> Any:
        """Its machine code."""
        compile_words = import_module(".compile", __package__).compile_words
        return compile_words(self.build(name, dtype), fastmath=self.fastmath, builtin=self.builtin, plain=self.plain)


@dataclass(frozen=True)
class _Outside(_Declaration):
    """A kernel that a user declared: `function(dtype)` gives the Python function; dtypes are whatever it takes.

    Raises `TypeError` for one that does not compile.
    """

    function: Callable[[str], Callable[[Any], int]] | None = None

    def build(self, name: str, dtype: str) -> Callable[[Any], int]:
        """The Python function of the kernel."""
        assert self.function is not None
        return self.function(dtype)

    def compiled(self, name: str, dtype: str) -> Any:
        """Its machine code, by Numba."""
        with first_compile():
            function = self.build(name, dtype)
            try:
                return import_module(".user_compile", __package__).compile_user(function)
            except Exception as error:
                raise TypeError(
                    f"kernel {name} for {dtype}: it may read, write and loop, not allocate or raise: {error}"
                ) from error


def _matmul_externals(dtype: str) -> tuple[str, ...]:
    return (_LETTER[dtype] + "gemm", _LETTER[dtype] + "gemv") if dtype in _LETTER else ()


def _solve_externals(dtype: str) -> tuple[str, ...]:
    return (_LETTER[dtype] + "gesv",)


def _eigh_externals(dtype: str) -> tuple[str, ...]:
    return (_LETTER[dtype] + ("syevd" if dtype in _REAL else "heevd"),)


def _svd_externals(dtype: str) -> tuple[str, ...]:
    return (_LETTER[dtype] + "gesdd",)


def _potrf_externals(dtype: str) -> tuple[str, ...]:
    return (_LETTER[dtype] + "potrf",)


def _triangular_externals(dtype: str) -> tuple[str, ...]:
    return (_LETTER[dtype] + "trsm",)


def _qr_externals(dtype: str) -> tuple[str, ...]:
    return (_LETTER[dtype] + "geqrf", _LETTER[dtype] + ("orgqr" if dtype in _REAL else "ungqr"))


def _named(*routines: str) -> Callable[[str], tuple[str, ...]]:
    """Routines of the names that begin with the letter of the dtype."""
    return lambda dtype: tuple(_LETTER[dtype] + routine for routine in routines)


_NUMBERS = (*_REAL, *_COMPLEX, "i4", "i8")
_ORDERED = (*_REAL, "i4", "i8", "b1")
_EVERY = (*_NUMBERS, "b1")
_DECLARATIONS = {
    "matmul": _Declaration("matmul", _EVERY, _matmul_externals, fastmath=frozenset({"contract"})),
    "gemm": _Declaration("gemm", _REAL + _COMPLEX, _matmul_externals, fastmath=frozenset({"contract"})),
    "solve": _Declaration("lapack", _REAL + _COMPLEX, _solve_externals, sizes.solve_workspace),
    "eigh": _Declaration("lapack", _REAL + _COMPLEX, _eigh_externals, sizes.eigh_workspace),
    "svd": _Declaration("lapack_svd", _REAL + _COMPLEX, _svd_externals, sizes_factors.svd_workspace),
    "eigvalsh": _Declaration("lapack_eigvalsh", _REAL + _COMPLEX, _eigh_externals, sizes_factors.eigvalsh_workspace),
    "cholesky": _Declaration("lapack_triangular", _REAL + _COMPLEX, _potrf_externals),
    "cholesky_ex": _Declaration("lapack_triangular", _REAL + _COMPLEX, _potrf_externals),
    "solve_triangular": _Declaration("lapack_triangular", _REAL + _COMPLEX, _triangular_externals),
    "qr": _Declaration("lapack_qr", _REAL + _COMPLEX, _qr_externals, sizes_factors.qr_workspace),
    "lu_factor": _Declaration("lapack_lu", _REAL + _COMPLEX, _named("getrf"), sizes_lu.lu_factor_workspace),
    "regular_factors": _Declaration("lapack_lu", _REAL + _COMPLEX, _named("getrf"), sizes_lu.regular_factors_workspace),
    "exchange_rows": _Declaration("lapack_lu", (*_REAL, *_COMPLEX, "i4", "i8")),
    "packed_solve": _Declaration("lapack_lu", _REAL + _COMPLEX, _named("trsm", "trsv")),
    "inv": _Declaration("lapack_lu", _REAL + _COMPLEX, _solve_externals, sizes_lu.inv_workspace),
    "banded_solve": _Declaration(
        "lapack_banded", _REAL + _COMPLEX, _named("gbsv"), sizes_banded.banded_solve_workspace
    ),
    "banded_definite_solve": _Declaration(
        "lapack_banded", _REAL + _COMPLEX, _named("pbsv"), sizes_banded.banded_definite_solve_workspace
    ),
    "banded_cholesky": _Declaration(
        "lapack_banded", _REAL + _COMPLEX, _named("pbtrf"), sizes_banded.banded_cholesky_workspace
    ),
    "iterate": _Declaration("iterate", _REAL + _COMPLEX),
    "implicit_solve": _Declaration("iterate", _REAL, _solve_externals, sizes.implicit_workspace),
    "permute": _Declaration("permute", _EVERY),
    "stream": _Declaration("streams", _EVERY, plain=True),
    "powers": _Declaration("powers", (*_REAL, *_COMPLEX, "i4", "i8")),
    "eig": _Declaration("lapack_eig", _REAL + _COMPLEX, _named("geev"), sizes_functions.eig_workspace),
    "schur": _Declaration("lapack_schur", _REAL + _COMPLEX, _named("gees"), sizes_functions.schur_workspace),
    "schur_lower": _Declaration("schur_lower", _COMPLEX),
    "sqrtm": _Declaration("lapack_schur", _COMPLEX, _named("gees", "gemm"), sizes_functions.sqrtm_workspace),
    "sylvester": _Declaration(
        "lapack_schur", _COMPLEX, _named("gees", "trsyl", "gemm"), sizes_functions.sylvester_workspace
    ),
    "expm": _Declaration("expm", _REAL + _COMPLEX, _named("gemm", "gesv"), sizes_functions.expm_workspace),
    "argmax": _Declaration("search", _EVERY),
    "argmin": _Declaration("search", _EVERY),
    "gather": _Declaration("gather", _EVERY),
    "scatter_set": _Declaration("gather", _EVERY),
    "scatter_add": _Declaration("gather", _NUMBERS),
    "scatter_mul": _Declaration("gather", _NUMBERS),
    "scatter_max": _Declaration("gather", _ORDERED),
    "scatter_min": _Declaration("gather", _ORDERED),
    "ravel_index": _Declaration("gather", ("i8",)),
    "argsort": _Declaration("ordering", _EVERY, workspace=sizes.sort_workspace),
    "sort": _Declaration("ordering", _EVERY, workspace=sizes.sort_workspace),
    "searchsorted": _Declaration("ordering", _ORDERED),
    "cumsum": _Declaration("cumulative", _NUMBERS),
    "cumprod": _Declaration("cumulative", _NUMBERS),
    "argcummax": _Declaration("cumulative", _ORDERED),
    "argcummin": _Declaration("cumulative", _ORDERED),
    "recurrence": _Declaration("cumulative", _REAL + _COMPLEX),
    "convolve": _Declaration("cumulative", _NUMBERS),
    "fft": _Declaration("fourier", _COMPLEX, workspace=sizes.fft_workspace),
    "rfft": _Declaration("fourier", _REAL, workspace=sizes.fft_workspace),
    "irfft": _Declaration("fourier", _REAL, workspace=sizes.fft_workspace),
    "driver": _Declaration("driver", ("",), plain=True),
    "objects_driver": _Declaration("driver", ("",), plain=True),
    "entry": _Declaration("driver", ("",), plain=True),
    "objects_entry": _Declaration("driver", ("",), plain=True),
    "repeat": _Declaration("driver", ("",), plain=True),
    "patch": _Declaration("driver", ("",)),
    "builtin": _Declaration("builtin", ("",), builtin=True, plain=True),
    "recorder": _Declaration("recorder", ("",), builtin=True, plain=True),
    "jitted": _Declaration("jitted", ("",), builtin=True, plain=True),
    "evals": _Declaration("evals", ("",), builtin=True, plain=True),
    "waiting": _Declaration("waiting", ("",), builtin=True, plain=True),
    "replay": _Declaration("replay", ("",), plain=True),
}

_LOCK = lock(awaited=3)
_MADE: dict[tuple[str, str], Kernel] = {}


def declare(name: str, function: Callable[[str], Callable[[Any], int]]) -> None:
    """Declares a kernel from outside of this package: `function(dtype)` gives the Python function over words.

    The name says what it is: object code is kept on disk under it, so that another function has to have another one.
    """
    with _LOCK:
        _DECLARATIONS.setdefault(name, _Outside("", (), function=function))


def names() -> tuple[str, ...]:
    """The names of all kernels."""
    return tuple(_DECLARATIONS)


def dtypes(name: str) -> tuple[str, ...]:
    """The dtype codes kernel `name` exists for; `("",)` for one that reads only words."""
    return _declared(name).dtypes


def externals(name: str, dtype: str) -> tuple[str, ...]:
    """The BLAS and LAPACK routines whose addresses come first in the kernel's words. Compiles nothing."""
    return _declared(name, dtype).externals(dtype)


def uses_blas(name: str) -> bool:
    """Whether kernel `name` calls routines of BLAS or LAPACK."""
    return any(externals(name, dtype) for dtype in dtypes(name))


def workspace(name: str, dtype: str, *extents: Any) -> Any:
    """Bytes of workspace for one call: `solve` takes (n, nrhs), `eigh` and `eigvalsh` take (n,), `svd` takes
    (m, n, k), `qr` takes (m, n, p), the others need none.

    `extents` may be symbolic: only `+` and `*` with ints are applied to them. The workspace must be aligned
    as the element type is, and is shared by the members of a batch.
    """
    return _declared(name, dtype).workspace(dtype, *extents)


def kernel(name: str, dtype: str = "") -> Kernel:
    """Kernel `name` for elements of `dtype` ("f4 f8 c8 c16 i4 i8 b1", or "" where none matters), compiled
    if need be.

    Raises `LookupError` if there is no such kernel or it does not exist for that dtype.
    """
    made = _MADE.get((name, dtype))
    if made is None:
        with _LOCK:
            made = _MADE.get((name, dtype)) or _compile(name, dtype)
            _MADE[name, dtype] = made
    return made


def is_made(name: str, dtype: str = "") -> bool:
    """Whether the kernel is compiled or installed already."""
    return (name, dtype) in _MADE


def install(name: str, dtype: str, object_code: bytes, symbol: str) -> Kernel:
    """Take the kernel from object code that an earlier process made (`Kernel.object_code`): no numba is
    needed.

    A kernel that is there already stays. The bytes are executed: check first that they are this version's
    own.
    """
    needs = externals(name, dtype)
    with _LOCK:
        if (name, dtype) not in _MADE:
            address, keepalive = load(object_code, symbol)
            _MADE[name, dtype] = Kernel(name, dtype, address, needs, len(object_code), object_code, symbol, keepalive)
        return _MADE[name, dtype]


def _compile(name: str, dtype: str) -> Kernel:
    declared = _declared(name, dtype)
    code = declared.compiled(name, dtype)
    return Kernel(
        name,
        dtype,
        code.address,
        declared.externals(dtype),
        code.code_bytes,
        code.object_code,
        code.symbol,
        code.keepalive,
    )


def _declared(name: str, dtype: str | None = None) -> _Declaration:
    declared = _DECLARATIONS.get(name)
    if declared is None:
        raise LookupError(f"no kernel {name!r}; there are {', '.join(names())}")
    if dtype is not None and type(declared) is not _Outside and dtype not in declared.dtypes:
        raise LookupError(
            f"kernel {name!r} does not exist for dtype {dtype!r}; it does for {', '.join(declared.dtypes)}"
        )
    return declared
