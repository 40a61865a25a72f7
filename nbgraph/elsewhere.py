"""What names of other libraries are here, for those who look for them.

In: a name that is no attribute. Out: the error that says what to write instead (docs/coming-from.md has more).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OF_TENSORS = {
    "backward": "loss.grad(x) is the gradient, a tensor; nothing accumulates",
    "clone": "tensors do not change: use the tensor itself",
    "cpu": "use .eval()",
    "detach": "nbg.stop_gradient(x) has no gradient, .eval() is the value",
    "double": "use .astype('float64')",
    "float": "use .astype('float32')",
    "numpy": "use .eval()",
    "numel": "use .size",
    "permute": "use .transpose",
    "requires_grad": "what TracedTensor.from_tensor made can be differentiated by",
    "requires_grad_": "make the leaf by TracedTensor.from_tensor",
    "unsqueeze": "use nbg.expand_dims",
    "view": "use .reshape",
}
OF_THE_MODULE = {
    "Tensor": "use nbg.TracedTensor",
    "cat": "use nbg.concatenate",
    "fori_loop": "write a for loop",
    "gather": "use x[index], nbg.take or nbg.take_along_axis",
    "index_add": "use x.at[index].add(values)",
    "no_grad": "not needed: what depends on no leaf of TracedTensor.from_tensor keeps no history",
    "scan": "write a for loop",
    "scatter": "use x.at[index].set(values)",
    "scatter_add": "use x.at[index].add(values)",
    "softmax": "it is nbg.nn.softmax",
    "logsumexp": "it is nbg.special.logsumexp",
    "topk": "it is nbg.top_k",
    "vmap": "functions broadcast over leading dimensions; write a loop for the others",
    "while_loop": "write a while loop; evaluate its test",
}


def missing(owner: str, name: str, hints: Mapping[str, str]) -> AttributeError:
    """The error for a name that `owner` does not have."""
    hint = hints.get(name)
    return AttributeError(f"{owner} has no attribute {name!r}" + (f": {hint}" if hint else ""), name=name)


class Missing:
    """In the place of an attribute: there is none. (A class with `__getattr__` would have slower attributes, all of
    them.)"""

    def __init__(self, owner: str, name: str, hints: Mapping[str, str]) -> None:
        self._told = owner, name, hints

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        raise missing(*self._told)
