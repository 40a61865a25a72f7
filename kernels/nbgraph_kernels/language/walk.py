"""From a function's syntax tree to LLVM's instructions, in one walk.

In:    a function's code, and the types of its arguments. Out: the function, in the program's module.
Holds: a variable has one type. One that is assigned to once is a value; others lie on the stack, from where LLVM takes
       them. What a walk finds out too late (a variable's type, that of the result) makes it begin again, knowing that.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir

from .names import MEANINGS
from .numbers import (
    binary,
    cast,
    chosen,
    compare,
    inverted,
    is_known,
    is_true,
    leaves_of,
    negative,
    typed,
)
from .program import Compiled, Helper, Intrinsic, Program
from .source import Code, LanguageError
from .types import Pointer, Scalar, Type, Typed, common_type, int64, llvm_types, put_together, scalar_of, shown, type_of

_UNKNOWN: Any = object()


class _Again(Exception):
    """The walk has to begin again."""


class _Findings:
    """What walks of one function have found out."""

    def __init__(self, result: Type) -> None:
        self.types: dict[str, Type] = {}  # of variables
        self.on_stack: set[str] = set()  # though assigned to only once
        self.result, self.is_given = result, result is not _UNKNOWN


MANY = 3
"""A turn with so many long calls is more than the processor looks ahead: it waits for itself unless two go together."""
PAIRS = 32
"""Two turns of vectors, on any machine, are so many of numbers, or go into them."""


class _Loop:
    """Where a loop goes on, and where it ends; how many long calls are in a turn."""

    def __init__(self, following: Any, after: Any) -> None:
        self.following, self.after = following, after
        self.is_left = False
        self.calls = 0


def walked(
    program: Program,
    code: Code,
    arguments: tuple[Type, ...],
    flags: tuple[str, ...],
    noalias: bool = False,
    result: Type = _UNKNOWN,
) -> Compiled:
    """The function made from the code."""
    findings = _Findings(result)
    while True:
        walk = Walk(program, code, arguments, flags, findings)
        try:
            walk.all()
        except _Again:
            del program.module.globals[walk.function.name]
            continue
        for argument in walk.function.args:
            if noalias and argument.type.is_pointer:
                argument.add_attribute("noalias")
        return Compiled(walk.function, findings.result, walk.is_long)


class Walk:
    """One walk. Intrinsics use `program`, `builder`, `flags`, and the methods under "for intrinsics"."""

    def __init__(
        self, program: Program, code: Code, arguments: tuple[Type, ...], flags: Any, findings: _Findings
    ) -> None:
        self.program, self.code, self.flags, self.findings = program, code, flags, findings
        parameters = [a.arg for a in code.node.args.args]
        if len(parameters) != len(arguments):
            raise LanguageError(f"{code.name} takes {len(parameters)} arguments, {len(arguments)} are given")
        result = int64 if findings.result is _UNKNOWN else findings.result
        self._result = result
        kinds = llvm_types(result)
        returned = ir.VoidType() if not kinds else kinds[0] if len(kinds) == 1 else ir.LiteralStructType(kinds)
        type_ = ir.FunctionType(returned, [leaf for a in arguments for leaf in llvm_types(a)])
        self.function: Any = ir.Function(program.module, type_, program.new_name(code.name))
        self.function.attributes.add("nounwind")
        self._entry = ir.IRBuilder(self.function.append_basic_block("entry"))
        start = self.function.append_basic_block()
        self._start = start
        self.builder: Any = ir.IRBuilder(start)
        self._assigned = _assignments(code.node)
        self._values: dict[str, tuple[tuple[int, ...], Any]] = {}
        self._cells: dict[str, tuple[Type, list[Any]]] = {}
        self._scope: tuple[int, ...] = ()
        self._scopes = 0
        self._loops: list[_Loop] = []
        self.is_long = False
        leaves = list(self.function.args)
        for each, argument in zip(parameters, arguments, strict=True):
            self._bind(each, put_together(argument, leaves))

    def all(self) -> None:
        """The whole function."""
        self._statements(self.code.node.body)
        if not self.builder.block.is_terminated:
            self._return(None)
        self._entry.branch(self._start)

    # -- for intrinsics ----------------------------------------------------------------------------------------------

    @property
    def module(self) -> Any:
        return self.program.module

    def typed(self, value: Any) -> Typed:
        """A value as one of run time."""
        made: Typed = typed(self, value)
        return made

    def cast(self, value: Any, to: Type) -> Any:
        """A value in a type."""
        return cast(self, value, to)

    def words(self, values: Any) -> list[Any]:
        """LLVM's values of a tuple of 64-bit words."""
        return [cast(self, v, int64).ir for v in values]

    def alloca(self, type_: Any, size: int | None = None, align: int | None = None) -> Any:
        """A place on the stack, one for each place in the text."""
        place = self._entry.alloca(type_, size=size)
        if align:
            place.align = align
        return place

    def llvm_intrinsic(self, name: str, *operands: Any) -> Any:
        """A call of an intrinsic function of LLVM whose operands and result have one type."""
        type_ = operands[0].type
        called = self.module.declare_intrinsic(name, [type_], ir.FunctionType(type_, [type_] * len(operands)))
        return self.builder.call(called, operands)

    def c_call(self, name: str, *operands: Any, result: Any = None) -> Any:
        """A call of a function of the C library's `libm`, with a result of the first operand's type."""
        called = self.module.globals.get(name)
        if called is None:
            type_ = ir.FunctionType(result or operands[0].type, [x.type for x in operands])
            called = ir.Function(self.module, type_, name)
            called.attributes.add("readnone")
            called.attributes.add("nounwind")
        return self.builder.call(called, operands)

    def note_length(self) -> None:
        """Says that what is called here is long; LLVM does not see that, and would interleave a loop's turns."""
        self.is_long = True
        for loop in self._loops[-1:]:
            loop.calls += 1

    # -- variables ---------------------------------------------------------------------------------------------------

    def _bind(self, name: str, value: Any) -> None:
        """Assigns to a variable."""
        if self._assigned[name] == 1 and name not in self.findings.on_stack:
            self._values[name] = self._scope, value
            return
        given = type_of(value)
        known = self.findings.types.setdefault(name, given)
        type_ = common_type(known, given)
        if type_ != known:
            self.findings.types[name] = type_
            raise _Again
        if name not in self._cells:
            self._cells[name] = type_, [self._entry.alloca(t) for t in llvm_types(type_)]
        for leaf, place in zip(leaves_of(cast(self, value, type_)), self._cells[name][1], strict=True):
            self.builder.store(leaf, place)

    def _read(self, name: str) -> Any:
        if name in self._cells:
            type_, places = self._cells[name]
            return put_together(type_, [self.builder.load(place) for place in places])
        if name not in self._values:
            raise LanguageError(f"{name} is read before it is assigned to")
        scope, value = self._values[name]
        if self._scope[: len(scope)] != scope:
            self.findings.on_stack.add(name)
            raise _Again
        return value

    @contextmanager
    def _inside(self, block: Any) -> Iterator[None]:
        """Goes on in a block that is not always run through."""
        before, self._scopes = self._scope, self._scopes + 1
        self._scope = (*before, self._scopes)
        self.builder.position_at_end(block)
        yield
        self._scope = before

    # -- statements --------------------------------------------------------------------------------------------------

    def _statements(self, nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if self.builder.block.is_terminated:
                return
            try:
                self._statement(node)
            except (TypeError, KeyError, AttributeError, ValueError, NameError) as error:
                if isinstance(error, LanguageError) and error.args[0].startswith("line "):
                    raise
                where = f"line {node.lineno} of {self.code.name} ({self.code.file})"
                raise LanguageError(f"{where}: {error}; compiled code may not allocate or raise") from error

    def _statement(self, node: ast.stmt) -> None:
        method: Callable[[Any], None] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise TypeError(f"no statement of this language: {type(node).__name__}")
        method(node)

    def _pass(self, node: ast.Pass) -> None:
        pass

    def _expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.value(node.value)

    def _assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self._assign_to(target, value)

    def _assign_to(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, value)
        elif isinstance(target, ast.Tuple):
            for each, v in zip(target.elts, value, strict=True):
                self._assign_to(each, v)
        elif isinstance(target, ast.Subscript):
            self._store(self.value(target.value), self.value(target.slice), value)
        else:
            raise TypeError(f"no target of this language: {type(target).__name__}")

    def _augassign(self, node: ast.AugAssign) -> None:
        name, x = type(node.op).__name__, self.value(node.value)
        if isinstance(node.target, ast.Subscript):
            pointer, index = self.value(node.target.value), self.value(node.target.slice)
            self._store(pointer, index, binary(self, name, self._load(pointer, index), x))
        else:
            assert isinstance(node.target, ast.Name)
            self._bind(node.target.id, binary(self, name, self._read(node.target.id), x))

    def _return(self, node: ast.Return | None) -> None:
        value = None if node is None or node.value is None else self.value(node.value)
        given, findings = type_of(value), self.findings
        if findings.result is _UNKNOWN:
            findings.result = given
        elif not findings.is_given:
            findings.result = common_type(findings.result, given)
        if findings.result != self._result:
            raise _Again
        leaves = leaves_of(cast(self, value, self._result))
        if not leaves:
            self.builder.ret_void()
        elif len(leaves) == 1:
            self.builder.ret(leaves[0])
        else:
            whole = ir.Constant(self.function.return_value.type, ir.Undefined)
            for k, leaf in enumerate(leaves):
                whole = self.builder.insert_value(whole, leaf, k)
            self.builder.ret(whole)

    def _if(self, node: ast.If) -> None:
        condition = self._truth(node.test)
        if isinstance(condition, bool):
            self._statements(node.body if condition else node.orelse)
            return
        blocks = [self.function.append_basic_block() for _ in range(3 if node.orelse else 2)]
        after = blocks[-1]
        self.builder.cbranch(condition.ir, blocks[0], blocks[1])
        reached = not node.orelse
        for block, body in zip(blocks[: len(blocks) - 1], (node.body, node.orelse), strict=False):
            with self._inside(block):
                self._statements(body)
                if not self.builder.block.is_terminated:
                    self.builder.branch(after)
                    reached = True
        self.builder.position_at_end(after)
        if not reached:
            self.builder.unreachable()

    def _while(self, node: ast.While) -> None:
        head, body, after = (self.function.append_basic_block() for _ in range(3))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        condition = self._truth(node.test)
        forever = condition is True
        if forever:
            self.builder.branch(body)
        elif condition is False:
            self.builder.branch(after)
        else:
            self.builder.cbranch(condition.ir, body, after)
        if not self._loop_body(node.body, body, head, after).is_left and forever:
            self.builder.unreachable()

    def _for(self, node: ast.For) -> None:
        """Over a `range`, whose step is known: one that could be 0 could raise."""
        start, stop, step = self._range(node.iter)
        before = self.builder.block
        loop, reached, compared, back = self._counted(node, start.ir, stop.ir, step)
        if loop.calls >= MANY and step == 1 and not loop.is_left:  # two turns at a time, then what is left one by one
            with self.builder.goto_block(before):
                rest = self.builder.and_(self.builder.sub(stop.ir, start.ir), int64.llvm(PAIRS - 1))
                compared.operands[1] = self.builder.sub(stop.ir, rest)
            back.set_metadata("llvm.loop", self.program.interleaved(2))
            _, _, _, back = self._counted(node, reached, stop.ir, step)
        if loop.calls:
            back.set_metadata("llvm.loop", self.program.interleaved(1))

    def _counted(self, node: ast.For, start: Any, stop: Any, step: int) -> tuple[_Loop, Any, Any, Any]:
        """A loop, its counter, its comparison with `stop`, the branch back."""
        before = self.builder.block
        head, body, last, after = (self.function.append_basic_block() for _ in range(4))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        counter = self.builder.phi(int64.llvm)
        counter.add_incoming(start, before)
        more = self.builder.icmp_signed("<" if step > 0 else ">", counter, stop)
        self.builder.cbranch(more, body, after)
        assert isinstance(node.target, ast.Name)
        loop = self._loop_body(node.body, body, last, after, node.target.id, Typed(int64, counter))
        self.builder.position_at_end(last)
        counter.add_incoming(self.builder.add(counter, int64.llvm(step), flags=("nsw",)), last)
        back = self.builder.branch(head)
        self.builder.position_at_end(after)
        return loop, counter, more, back

    def _range(self, node: ast.expr) -> tuple[Typed, Typed, int]:
        if not isinstance(node, ast.Call) or self.value(node.func) is not range:
            raise TypeError("loops go over a range")
        given = [self.value(a) for a in node.args]
        start, stop, step = (0, given[0], 1) if len(given) == 1 else (*given, 1)[:3]
        if not isinstance(step, int) or step == 0:
            raise TypeError("the step of a range has to be known when it is compiled")
        return cast(self, start, int64), cast(self, stop, int64), step

    def _loop_body(
        self, nodes: list[ast.stmt], body: Any, following: Any, after: Any, name: str = "", counter: Any = None
    ) -> _Loop:
        """The body of a loop."""
        self._loops.append(_Loop(following, after))
        with self._inside(body):
            if name:
                self._bind(name, counter)
            self._statements(nodes)
            if not self.builder.block.is_terminated:
                self.builder.branch(following)
        self.builder.position_at_end(after)
        return self._loops.pop()

    def _break(self, node: ast.Break) -> None:
        self._loops[-1].is_left = True
        self.builder.branch(self._loops[-1].after)

    def _continue(self, node: ast.Continue) -> None:
        self.builder.branch(self._loops[-1].following)

    # -- values ------------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Any:
        """The value of an expression."""
        return _EXPRESSIONS[type(node)](self, node)

    def _truth(self, node: ast.expr) -> Any:
        """A condition: a bool if it is known, else a truth value."""
        value = self.value(node)
        return bool(value) if is_known(value) else is_true(self, value)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        return self._read(node.id) if node.id in self._assigned else self.code.lookup(node.id)

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.value(e) for e in node.elts)

    def _attribute(self, node: ast.Attribute) -> Any:
        value = self.value(node.value)
        if isinstance(value, np.generic):
            value = typed(self, value)
        if not isinstance(value, Typed):
            return getattr(value, node.attr)
        if value.type.kind != "c":
            return {"real": value, "imag": cast(self, 0, value.type), "conjugate": Intrinsic(lambda cx: value)}[
                node.attr
            ]
        re, im = value.leaves
        if node.attr == "conjugate":
            return Intrinsic(lambda cx: Typed(value.type, re, cx.builder.fneg(im)))
        return Typed(value.type.part, {"real": re, "imag": im}[node.attr])

    def _subscript(self, node: ast.Subscript) -> Any:
        return self._load(self.value(node.value), self.value(node.slice))

    def _binop(self, node: ast.BinOp) -> Any:
        return binary(self, type(node.op).__name__, self.value(node.left), self.value(node.right))

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            condition = self._truth(node.operand)
            not_ = self.builder.not_
            return not condition if isinstance(condition, bool) else Typed(condition.type, not_(condition.ir))
        return {ast.USub: negative, ast.Invert: inverted}[type(node.op)](self, self.value(node.operand))

    def _compare(self, node: ast.Compare) -> Any:
        found: Any = True
        left = self.value(node.left)
        for op, each in zip(node.ops, node.comparators, strict=True):
            right = self.value(each)
            one = compare(self, type(op).__name__, left, right)
            found = one if found is True else binary(self, "BitAnd", found, one)
            left = right
        return found

    def _boolop(self, node: ast.BoolOp) -> Any:
        """`and`, `or`: what follows is not computed if it does not matter, where it reads or calls."""
        decided = isinstance(node.op, ast.Or)
        found = self._truth(node.values[0])
        for each in node.values[1:]:
            if found is decided:
                return decided
            if isinstance(found, bool):
                found = self._truth(each)
            elif _is_plain(each):
                other = self._truth(each)
                found = binary(self, "BitOr" if decided else "BitAnd", found, other)
            else:
                ways = (lambda: decided), (lambda node=each: self._truth(node))
                found = self._either(found, *(ways if decided else ways[::-1]))
        return found

    def _ifexp(self, node: ast.IfExp) -> Any:
        condition = self._truth(node.test)
        if isinstance(condition, bool):
            return self.value(node.body if condition else node.orelse)
        if _is_plain(node.body) and _is_plain(node.orelse):
            return chosen(self, condition, self.value(node.body), self.value(node.orelse))
        return self._either(condition, lambda: self.value(node.body), lambda: self.value(node.orelse))

    def _either(self, condition: Typed, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
        """One of two values, only that one computed."""
        blocks = [self.function.append_basic_block() for _ in range(3)]
        self.builder.cbranch(condition.ir, *blocks[:2])
        made = []
        for block, make in zip(blocks[:2], (yes, no), strict=True):
            with self._inside(block):
                made.append((make(), self.builder.block))
        to = common_type(type_of(made[0][0]), type_of(made[1][0]))
        sources = []
        for value, block in made:
            self.builder.position_at_end(block)
            sources.append((leaves_of(cast(self, value, to)), block))
            self.builder.branch(blocks[2])
        self.builder.position_at_end(blocks[2])
        phis = [self.builder.phi(t) for t in llvm_types(to)]
        for leaves, block in sources:
            for phi, leaf in zip(phis, leaves, strict=True):
                phi.add_incoming(leaf, block)
        return put_together(to, phis)

    # -- memory ------------------------------------------------------------------------------------------------------

    def _load(self, value: Any, index: Any) -> Any:
        if isinstance(value, tuple):
            return value[index]
        places = self._places(value, index)
        return Typed(value.type.dtype, *(self._marked(value, self.builder.load(p)) for p in places))

    def _store(self, pointer: Any, index: Any, value: Any) -> None:
        leaves = leaves_of(cast(self, value, pointer.type.dtype))
        for place, leaf in zip(self._places(pointer, index), leaves, strict=True):
            self._marked(pointer, self.builder.store(leaf, place))

    def _places(self, pointer: Any, index: Any) -> list[Any]:
        """Where the parts of an element are."""
        if not isinstance(pointer, Typed) or not isinstance(pointer.type, Pointer):
            raise TypeError(f"{shown(type_of(pointer))} has no elements")
        at = cast(self, index, int64).ir
        if pointer.type.dtype.kind != "c":
            return [self.builder.gep(pointer.ir, [at])]
        return [self.builder.gep(pointer.ir, [at, ir.IntType(32)(k)]) for k in (0, 1)]

    def _marked(self, pointer: Any, access: Any) -> Any:
        if pointer.type.region is not None:
            from ..regions import mark

            mark(self.program, access, pointer.type.region)
        return access

    # -- calls -------------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Any:
        function, given = self.value(node.func), [self.value(a) for a in node.args]
        if node.keywords:
            raise TypeError("arguments are given by position")
        if isinstance(function, Intrinsic):
            return function.emit(self, *given)
        if isinstance(function, Helper):
            return self._call_helper(function, given)
        if isinstance(function, Scalar):
            return cast(self, given[0], function)
        if isinstance(function, type) and issubclass(function, np.generic):
            return cast(self, given[0], scalar_of(function))
        meaning = MEANINGS.get(function)
        if meaning is None:
            raise TypeError(f"{getattr(function, '__name__', function)!r} is no function of this language")
        return meaning(self, *given)

    def _call_helper(self, helper: Helper, given: list[Any]) -> Any:
        arguments = tuple(map(type_of, given))
        made = self.program.helper(helper, arguments)
        if made.is_long:
            self.note_length()
        leaves = [leaf for v, t in zip(given, arguments, strict=True) for leaf in leaves_of(cast(self, v, t))]
        result = self.builder.call(made.function, leaves)
        count = len(llvm_types(made.result))
        if count > 1:
            return put_together(made.result, [self.builder.extract_value(result, k) for k in range(count)])
        return put_together(made.result, [result] if count else [])


_EXPRESSIONS: dict[type[ast.expr], Callable[[Walk, Any], Any]] = {
    ast.Constant: Walk._constant,
    ast.Name: Walk._name,
    ast.Tuple: Walk._tuple,
    ast.Attribute: Walk._attribute,
    ast.Subscript: Walk._subscript,
    ast.BinOp: Walk._binop,
    ast.UnaryOp: Walk._unaryop,
    ast.Compare: Walk._compare,
    ast.BoolOp: Walk._boolop,
    ast.IfExp: Walk._ifexp,
    ast.Call: Walk._call,
}


@lru_cache(maxsize=256)
def _assignments(node: ast.FunctionDef) -> Counter[str]:
    """How often each variable is assigned to, in the text; a parameter once more."""
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    parameters = [each.arg for each in node.args.args]
    return Counter([*parameters, *(each.id for each in names if isinstance(each.ctx, ast.Store))])


def _is_plain(node: ast.expr) -> bool:
    """Whether computing it in vain does no harm: it reads no memory, divides no integers and calls nothing."""
    return not any(isinstance(each, ast.Subscript | ast.Call | ast.FloorDiv | ast.Mod) for each in ast.walk(node))
