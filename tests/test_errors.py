"""The named errors: what they say, what they are caught as, and that they name the user's line."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest

import nbgraph as nbg
from nbgraph import elsewhere, errors
from nbgraph.errors import NbgraphError, ShapeError, describe, user_frame

NAMED = {
    "ShapeError": ValueError,
    "DtypeError": TypeError,
    "BoundsError": IndexError,
    "DifferentiationError": Exception,
    "ConcretizationError": TypeError,
    "BindingError": Exception,
    "LinAlgError": np.linalg.LinAlgError,
    "CacheError": Exception,
}


@pytest.mark.parametrize(("name", "builtin"), NAMED.items())
def test_every_error_is_ours_and_the_builtin(name, builtin) -> None:
    error = getattr(errors, name)
    assert issubclass(error, NbgraphError)
    assert issubclass(error, builtin)
    with pytest.raises(builtin, match="wrong"):
        raise error("wrong")


def test_text_is_golden() -> None:
    error = ShapeError(
        operation="add",
        position=1,
        got="shape (3,)",
        wanted="a shape that broadcasts with (4,)",
        where="script.py:12: y = x + z",
        hint="reshape one of them",
    )
    assert str(error) == (
        "add: operand 1 has shape (3,), wanted a shape that broadcasts with (4,)\n"
        "  at script.py:12: y = x + z\n"
        "  hint: reshape one of them"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"message": "plain"}, "plain"),
        ({"message": "singular", "operation": "solve"}, "solve: singular"),
        (
            {"message": "bad axis", "got": 3, "wanted": "0 or 1"},
            "bad axis: got 3, wanted 0 or 1",
        ),
        ({"operation": "dot", "position": 0, "wanted": "a vector"}, "dot: operand 0 wanted a vector"),
        ({"operation": "dot", "position": "left", "got": "rank 3"}, "dot: operand left has rank 3"),
    ],
)
def test_parts_that_are_absent_leave_no_trace(arguments, text) -> None:
    assert str(NbgraphError(**arguments, where="")) == text


def test_attributes_are_kept() -> None:
    error = NbgraphError("m", operation="o", position=2, got="g", wanted="w", where="here", hint="h")
    assert (error.message, error.operation, error.position) == ("m", "o", 2)
    assert (error.got, error.wanted, error.where, error.hint) == ("g", "w", "here", "h")


def test_the_users_line_is_found() -> None:
    error = NbgraphError("wrong")  # this line
    assert error.where.startswith(describe((sys._getframe().f_code, 1)).split(":")[0])
    assert error.where.endswith('error = NbgraphError("wrong")  # this line')
    assert error.where in str(error)


def call_from(filename: str):
    """The user_frame seen by code whose file is `filename`, called from here."""
    namespace = {"user_frame": user_frame}
    exec(compile("def ask():\n    return user_frame()", filename, "exec"), namespace)
    return namespace["ask"]()


@pytest.mark.parametrize("inside", ["tensor.py", "ops/arithmetic.py"])
def test_library_frames_are_skipped(inside) -> None:
    code, line = call_from(errors._HOME + inside)
    assert code.co_filename == __file__
    assert line > 1


def test_kernel_frames_are_skipped() -> None:
    assert call_from("/anywhere/nbgraph_kernels/blas.py")[0].co_filename == __file__


@pytest.mark.parametrize("filename", [errors._EXAMPLES + "loop.py", "/home/nbgraph/x.py", "<stdin>"])
def test_examples_and_users_files_are_not_skipped(filename) -> None:
    code, line = call_from(filename)
    assert (code.co_filename, line) == (filename, 2)


def test_describe_without_source_names_the_place() -> None:
    code = compile("1", "<generated>", "eval")
    assert describe((code, 7)) == "<generated>:7"
    assert describe(None) == ""


@pytest.mark.parametrize("name", NAMED)
def test_errors_pickle_and_copy(name) -> None:
    error = getattr(errors, name)("wrong", operation="add", position=1, got="a", wanted="b", hint="c")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)
        assert other.args == error.args


def test_names_of_other_libraries_say_what_to_write_here() -> None:
    x = nbg.TracedTensor.from_tensor([1.0, 2.0])
    with pytest.raises(AttributeError, match=r"no attribute 'backward': loss.grad\(x\)"):
        x.backward()
    with pytest.raises(AttributeError, match="no attribute 'scan': write a for loop"):
        nbg.scan  # noqa: B018
    assert not hasattr(x, "no_such_name") and not hasattr(nbg, "no_such_name")
    for owner, hints in ((x, elsewhere.OF_TENSORS), (nbg, elsewhere.OF_THE_MODULE)):
        assert not [name for name in hints if hasattr(owner, name)]  # a name that came is hinted at no more


def test_an_engine_that_is_none_and_one_that_is_no_tensor() -> None:
    y = nbg.TracedTensor.from_tensor(2.0) * 2
    for wrong in (lambda: y.eval("always"), lambda: nbg.eval(y, engine="always")):
        with pytest.raises(nbg.DtypeError, match=r"not an engine: got str.*\n.*\n.*nbg.Engine\(jit='always'\)"):
            wrong()
    with pytest.raises(nbg.DtypeError, match="engine=engine"):
        nbg.eval(y, nbg.Engine())


def test_containers_of_tensors_are_evaluated_to_containers_of_arrays() -> None:
    w, b = nbg.TracedTensor.from_tensor([1.0, 2.0]), nbg.TracedTensor.from_tensor(3.0)
    loss = nbg.sum(w * w) * b
    engine = nbg.Engine(jit="never")
    value, by_name, listed, plain = nbg.eval(loss, loss.grad({"w": w, "b": b}), [w, b], [1, 2], engine=engine)
    assert value == 15.0 and by_name["w"].tolist() == [6.0, 12.0] and by_name["b"] == 5.0
    assert type(listed) is list and [a.tolist() for a in listed] == [[1.0, 2.0], 3.0]
    assert plain.tolist() == [1, 2]  # numbers are an array, as everywhere
    assert engine.stats().evals == 1
