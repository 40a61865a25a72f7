"""A small language: the part of Python that kernels and generated code are written in, straight to LLVM's text.

In:    Python functions over the word table: numbers, typed pointers, tuples, loops, branches, helpers, intrinsics.
Out:   an LLVM module, not optimised.
Holds: nothing here can allocate or raise. numba is not imported. What is not in the language is refused, by name and
       line (`LanguageError`).

`types` says what a value is, `numbers` what operators do, `names` what Python's, math's and numpy's functions mean,
`source` finds the text of a function, `walk` goes through it, once, from top to bottom.
"""

from .names import MEANINGS
from .program import Helper, Intrinsic, Program, helper, intrinsic
from .source import Code, LanguageError, code_of, codes_in

__all__ = [
    "MEANINGS",
    "Code",
    "Helper",
    "Intrinsic",
    "LanguageError",
    "Program",
    "code_of",
    "codes_in",
    "helper",
    "intrinsic",
]
