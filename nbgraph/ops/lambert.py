"""Lambert's W: the solutions w of w e^w = z."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nbgraph import later as special
from nbgraph.kinds import Elementwise
from nbgraph.op import Sample, sample_array


@final
class LambertW(Elementwise):
    """W_k(z) of complex z; the branch k is a parameter. There is no derivative at the branch point -1/e."""

    name = "lambertw"
    params = ("branch",)
    branch: int
    codes = "c8 c16"

    def reference(self, ins: Sequence[Any], sizes: tuple[int, ...]) -> Any:
        return np.asarray(special.lambertw(ins[0].astype("c16"), self.branch)).astype(ins[0].dtype)

    def scalar(self, code: str, *xs: str) -> str:
        return f"complex_lambertw({self.branch}, {xs[0]})"

    def derivative(self, b: Any, ins: Any, out: Any, tangents: Any) -> Any:
        # w' = 1 / (e^w (1 + w)), and e^w w = z
        return b.div(tangents[0], b.add(b.exp(out), ins[0]))

    @classmethod
    def samples(cls, code: str, rng: np.random.Generator) -> Iterable[Sample]:
        if code in cls.codes.split():
            for branch, shape in ((0, (3, 4)), (-1, (2,)), (1, ()), (3, (0, 2))):
                yield Sample(cls(branch), (sample_array(rng, code, shape),))
