"""The machinery: fragments and their text, the stages from resolve to SSA, sharing by key, the IR checker."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import nbgraph.ops  # registers the operations
from nbgraph import graph
from nbgraph.dims import dim
from nbgraph.errors import DifferentiationError
from nbgraph.graph import FragmentBuilder, TensorType
from nbgraph.interpret import interpret
from nbgraph.leaves import leaf, scalar
from nbgraph.op import REGISTRY
from nbgraph.trace import alias_of, placeholder, record1, record2

rng = np.random.default_rng(0)
SIN, MUL, ADD, EXP = (REGISTRY[name]() for name in ("sin", "multiply", "add", "exp"))


def built(outputs="es"):
    """exp(sin(x) * y), and sin(x)."""
    b = FragmentBuilder()
    x = b.input(TensorType("f8", ("n", "m")))
    y = b.input(("float64", ("m",)))
    s = b.op("sin", x)
    e = b.op("exp", b.op("multiply", s, y))
    return b.build([{"e": e, "s": s}[o] for o in outputs])


def input_leaf(*shape):
    return leaf(rng.uniform(0.5, 1.5, shape), True)


# -- fragments ----------------------------------------------------------------------------------------------------


def test_text_of_a_fragment() -> None:
    assert str(built()) == (
        "fragment(%0: float64[d0.0, d0.1], %1: float64[d0.1])\n"
        "  %2: float64[d0.0, d0.1] = sin(%0)\n"
        "  %3: float64[d0.0, d0.1] = multiply(%2, %1)\n"
        "  %4: float64[d0.0, d0.1] = exp(%3)\n"
        "  return %4, %2"
    )


def test_text_of_sizes_and_parameters() -> None:
    b = FragmentBuilder()
    x = b.input(("float32", (1, "n")))
    word = b.word()
    f = b.build(b.op("broadcast_to", b.op("sum", x, axes=(1,)), shape=(word, word + 1)))
    assert str(f) == (
        "fragment(%0: float32[1, d0.1])\n"
        "  %1: float32[1] = sum[axes=(1,)](%0)\n"
        "  %2: float32[w0, w0 + 1] = broadcast_to[axes=('repeat', 'repeat')](%1) sizes(w0, w0 + 1)\n"
        "  return %2"
    )


def test_equal_structures_are_one_object() -> None:
    assert built() is built()
    assert built("e") is not built()
    assert built().key == tuple(built().output_keys)


def test_dead_operations_are_dropped_and_equal_ones_merged() -> None:
    b = FragmentBuilder()
    x = b.input(("float64", ("n",)))
    b.op("cos", x)
    f = b.build(b.op("add", b.op("sin", x), b.op("sin", x)))
    assert [i.op.name for i in f.instrs] == ["sin", "add"]


def test_dot_names_every_value_and_edge() -> None:
    f = built()
    text = graph.dot(f)
    assert text.startswith("digraph fragment {") and text.endswith("}")
    assert text.count("->") == sum(len(i.ins) for i in f.instrs) + len(f.outputs)
    assert 'v2 [label="sin\\n%2: float64[d0.0, d0.1]"];' in text


# -- the stages ---------------------------------------------------------------------------------------------------


def test_resolve_looks_up_the_operation_of_a_key() -> None:
    f = built()
    view = graph.resolve(f)
    assert view.inputs == f.input_keys
    assert view.lookup(f.output_keys[1]).op is SIN
    assert view.lookup(f.input_keys[0]) is None


def test_two_fragments_share_their_operations() -> None:
    exp_only, sin_only = built("e"), built("s")
    together = graph.materialize_merge(graph.resolve(exp_only, sin_only))
    assert len(together.operations) == 3
    assert graph.fragment_of(together) is built()


def jvp_and_vjp(f):
    view = graph.resolve(f)
    linear = graph.differentiate(view, view.outputs, range(len(f.inputs)))
    return linear, graph.transpose(linear)


def run(merged, arrays):
    return interpret(graph.fragment_of(merged), arrays)


def test_derivatives_of_a_fragment_are_right() -> None:
    f = built("e")
    linear, back = jvp_and_vjp(f)
    x, y, dx, dy = (rng.normal(size=s) for s in ((2, 3), (3,), (2, 3), (3,)))
    ct = rng.normal(size=(2, 3))
    tangents = graph.materialize_merge(graph.resolve(f, linear), linear.tangent_outputs)
    assert tangents.inputs == (*f.input_keys, *linear.tangent_inputs)
    e = np.exp(np.sin(x) * y)
    wanted = e * (np.cos(x) * dx * y + np.sin(x) * dy)
    np.testing.assert_allclose(run(tangents, [x, y, dx, dy])[0], wanted, rtol=1e-13)
    cotangents = graph.materialize_merge(graph.resolve(f, back), back.tangent_outputs)
    cx, cy = run(cotangents, [x, y, ct])
    np.testing.assert_allclose(cx, ct * e * np.cos(x) * y, rtol=1e-13)
    np.testing.assert_allclose(cy, (ct * e * np.sin(x)).sum(0), rtol=1e-13)


def test_primal_and_vjp_share_by_key() -> None:
    f = built("e")
    _, back = jvp_and_vjp(f)
    apart = len(f.instrs) + len(graph.materialize_merge(graph.resolve(back)).operations)
    together = graph.materialize_merge(graph.resolve(f, back))
    # sin, multiply and exp are there once: the derivative uses all three.
    assert len(together.operations) == apart - 3
    assert len(set(together.operations)) == len(together.operations)


def test_linear_operations_carry_their_mask() -> None:
    linear, back = jvp_and_vjp(built("e"))
    assert all(isinstance(op_key.mode, graph.Linear) for op_key in (*linear.operations, *back.operations))
    assert {op_key.mode.active for op_key in linear.operations if op_key.op is MUL} == {(True, False), (False, True)}
    assert [k.linear for k in back.tangent_inputs] == [True]


def test_transposing_twice_gives_the_tangents() -> None:
    f = built("e")
    linear, back = jvp_and_vjp(f)
    again = graph.transpose(back)
    x, y, dx, dy = (rng.normal(size=s) for s in ((2, 3), (3,), (2, 3), (3,)))
    values = [
        run(graph.materialize_merge(graph.resolve(f, t), t.tangent_outputs), [x, y, dx, dy])[0] for t in (linear, again)
    ]
    np.testing.assert_allclose(*values, rtol=1e-13)


def test_a_derivative_of_a_derivative_is_a_fragment_too() -> None:
    b = FragmentBuilder()
    f = b.build(b.op("sin", b.input(("float64", ("n",)))))
    x, ones = np.array([0.3, 0.7]), np.ones(2)
    for wanted in (np.cos(x), -np.sin(x), -np.cos(x)):
        view = graph.resolve(f)
        linear = graph.differentiate(view, view.outputs, [0])
        f = graph.fragment_of(graph.materialize_merge(graph.resolve(f, linear), linear.tangent_outputs))
        graph.verify(f)
        np.testing.assert_allclose(interpret(f, [x, *[ones] * (len(f.inputs) - 1)])[0], wanted, rtol=1e-13)


def test_zero_tangents_are_none() -> None:
    f = built()
    view = graph.resolve(f)
    linear = graph.differentiate(view, view.outputs, [1])
    assert linear.tangent_outputs[1] is None
    assert "0" in str(linear).splitlines()[-1]


def test_integers_are_no_inputs_of_a_derivative() -> None:
    b = FragmentBuilder()
    x = b.input(("int64", ("n",)))
    view = graph.resolve(b.build(b.op("multiply", x, x)))
    with pytest.raises(DifferentiationError, match="integer"):
        graph.differentiate(view, view.outputs, [0])


def test_lower_gives_a_program_that_prints() -> None:
    f = built("e")
    program = graph.lower(graph.materialize_merge(graph.resolve(f)))
    assert str(program).startswith("program(%0: float64[d0.0, d0.1], %1: float64[d0.1])\n  %2: ")
    assert str(graph.lower(f)) == str(program)
    graph.verify(program.body)


# -- tensors ------------------------------------------------------------------------------------------------------


def test_key_of_open_expressions_is_structural() -> None:
    x = input_leaf(3)
    one, other = record2(MUL, record1(SIN, x), scalar(2.0, "f8")), record2(MUL, record1(SIN, x), scalar(2.0, "f8"))
    assert graph.key_of(one) is graph.key_of(other)
    assert graph.key_of(one) is not graph.key_of(record2(MUL, record1(SIN, x), scalar(3.0, "f8")))
    assert graph.key_of(x) is graph.Input(("leaf", x.seq), x.type)


def test_key_of_a_deep_chain_needs_no_recursion() -> None:
    x = y = input_leaf(2)
    for _ in range(5000):
        y = record1(SIN, y)
    assert isinstance(graph.key_of(y), graph.Derived)
    assert graph.key_of(y).type is x.type


def test_key_of_sealed_values_does_not_grow() -> None:
    from nbgraph.derive import seal

    x = input_leaf(3)
    y = record1(SIN, x)
    seal([y])
    assert graph.key_of(y) is graph.Input(("call", y.call.seq, y.slot), y.type)
    assert graph.key_of(record1(EXP, y)).op_key.inputs == (graph.key_of(y),)


def test_aliases_and_placeholders_have_identities_of_their_own() -> None:
    x = input_leaf(3)
    keys = {graph.key_of(n) for n in (x, alias_of(x), alias_of(x), placeholder(x.type, "p"))}
    assert len(keys) == 4


def test_fragments_of_lists_calls_in_run_order() -> None:
    from nbgraph.derive import seal

    x = input_leaf(3)
    y = x
    for _ in range(4):
        y = record2(ADD, record1(SIN, y), x)
        seal([y])
    seal([z := record1(EXP, y)])
    found = graph.fragments_of(z, y)
    assert [len(f.instrs) for f in found] == [2, 2, 2, 2, 1]
    # The first step has x twice; those after it are one and the same.
    assert found[1] is found[2] is found[3]


def test_fragments_of_shows_the_open_tail_and_leaves_it_open() -> None:
    from nbgraph.derive import seal

    x = input_leaf(3)
    seal([y := record1(SIN, x)])
    z = record2(MUL, record1(EXP, y), y)
    (first, tail) = graph.fragments_of(z)
    assert [i.op.name for f in (first, tail) for i in f.instrs] == ["sin", "exp", "multiply"]
    assert z.op is MUL
    assert graph.fragments_of(x) == []


# -- the checker --------------------------------------------------------------------------------------------------


def mutated(**changes):
    """The fragment exp(sin(x) * y) with some of its parts replaced; fragments themselves cannot be made wrong."""
    f = built("e")
    parts = {name: getattr(f, name) for name in ("inputs", "instrs", "outputs", "types", "n_words")}
    return SimpleNamespace(**(parts | changes))


def with_instr(k, **changes):
    instrs = list(built("e").instrs)
    instrs[k] = instrs[k]._replace(**changes)
    return mutated(instrs=tuple(instrs))


def with_type(k, t):
    types = list(built("e").types)
    types[k] = t
    return mutated(types=tuple(types))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (with_instr(1, ins=(4, 1)), "an operand is used before it is defined"),
        (with_instr(1, ins=(-1, 1)), "an operand is used before it is defined"),
        (with_instr(1, first=7), "results numbered from 7, expected 3"),
        (with_instr(1, op=REGISTRY["where"](), ins=(0, 0, 0)), "operands do not fit the shape rule"),
        (with_instr(1, op=REGISTRY["sum"]((0,))), "operands do not fit the shape rule"),
        (with_instr(0, op=REGISTRY["logical_not"]()), "types inferred"),
        (with_instr(2, op=REGISTRY["sum"]((0,))), "types inferred"),
        (with_type(4, TensorType("f4", built("e").types[4].shape)), "types inferred"),
        (with_type(0, TensorType("f8", (dim("n"),))), "input types differ"),
        (with_type(2, TensorType("f8", (dim(("d", 9, 0)), dim(("d", 0, 1))))), "unknown symbols"),
        (mutated(outputs=(5,)), r"outputs \[5\] do not exist"),
        (mutated(types=built("e").types[:-1]), "types inferred"),
        (mutated(types=(*built("e").types, built("e").types[0])), "5 values, 6 types"),
    ],
)
def test_malformed_ir_is_caught(broken, says) -> None:
    with pytest.raises(graph.VerificationError, match=says):
        graph.verify(broken, "here")


def test_a_fault_shows_its_neighbourhood() -> None:
    with pytest.raises(graph.VerificationError) as caught:
        graph.verify(with_instr(1, ins=(4, 1)), "fuse")
    text = str(caught.value)
    assert "fuse: an operand is used before it is defined" in text
    assert "%3: float64[d0.0, d0.1] = multiply(%4, %1)" in text
    assert "= sin(%0)" in text


def test_well_formed_ir_passes() -> None:
    graph.verify(built())
    assert nbgraph.ops is not None
