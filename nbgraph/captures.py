"""What a function reads besides its arguments: cells, globals, attributes of objects, items of containers.

In: a function, and what it was called on. Out: lines of Python that read all that again and compare it with what was
there (`Guards`), for generated code.
Holds: tensors are compared by type only, so that code may use the fresh one; numbers and strings by value; lists,
tuples and dicts item by item; everything else by identity, and then by the attributes that the function names.
Functions of the user's that are met are looked into as well. What cannot be seen so: an array that is written to, a
global that a function of another module reads by way of its own modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

from nbgraph.errors import is_ours
from nbgraph.node import Node
from nbgraph.steps import ATTRIBUTE, ITEM, SIZE, Read

_BY_VALUE = (int, float, bool, complex, str, bytes)
#: Containers with more items are known by identity and length.
_LARGEST = 64
_MODULES_LEFT_OUT = ("numpy", "nbgraph", "scipy", "math")


class Guards:
    """`lines` bind variables to what is read, and return `STALE` where it is not what it was; `names` are the lines'
    constants; `tensors` maps the ids of the tensors met to their variables.

    `reads` is the same, where nothing has changed at all, and `variables` says which of them has a variable; None where
    that cannot be said without Python."""

    def __init__(self, functions: list[Any]) -> None:
        self.attributes: set[str] = set()
        self._functions = functions
        self._start()
        while True:  # functions that are met name further attributes
            known = len(self.attributes)
            self._start()
            if len(self.attributes) == known:
                break

    def _start(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.tensors: dict[int, str] = {}
        self.nodes: list[Node] = []
        self.reads: list[Read] | None = []
        self.variables: dict[str, int] = {}
        self._seen: set[int] = set()
        self._n = 0
        for f in self._functions:
            self._visit(self._constant(f), f, None)

    def _constant(self, value: Any) -> str:
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def _variable(self, expression: str) -> str:
        self._n += 1
        self.lines.append(f"v{self._n} = {expression}")
        return f"v{self._n}"

    def _check(self, wrong: str) -> None:
        self.lines.append(f"if {wrong}: return STALE")

    def _note(self, v: str, read: Read | None) -> None:
        if read is not None and self.reads is not None:
            self.variables[v] = len(self.reads)
            self.reads.append(read)

    def _visit(self, expression: str, value: Any, read: Read | None) -> None:
        """Lines that read a value again and compare it."""
        v, cls = self._variable(expression), type(value)
        self._note(v, read)
        if isinstance(value, Node):
            self.tensors.setdefault(id(value), v)
            self.nodes.append(value)
            self._check(f"type({v}) is not {self._constant(cls)} or {v}.type is not {self._constant(value.type)}")
        elif cls in _BY_VALUE:
            k = self._constant(value)
            self._check(f"{v} is not {k} and (type({v}) is not type({k}) or {v} != {k})")
        elif cls in (list, tuple, dict) and len(value) > _LARGEST:
            self._check(f"{v} is not {self._constant(value)} or len({v}) != {len(value)}")
            self._note("", Read(SIZE, value, None, len(value)))
        elif cls is list or cls is tuple:
            self._check(f"type({v}) is not {cls.__name__} or len({v}) != {len(value)}")
            self._note("", Read(SIZE, value, None, len(value)))
            for i, item in enumerate(value):
                self._visit(f"{v}[{i}]", item, Read(ITEM, value, i, item))
        elif cls is dict:
            self._check(f"type({v}) is not dict or tuple({v}) != {self._constant(tuple(value))}")
            self._note("", Read(SIZE, value, None, len(value)))
            if len(value) > 1:  # the order of keys counts
                self.reads = None
            for key, item in value.items():
                self._visit(f"{v}[{self._constant(key)}]", item, Read(ITEM, value, key, item))
        elif cls is MethodType:  # a new object at each access
            if read is not None:
                self.reads = None
            self._visit(f"{v}.__func__", value.__func__, None)
            self._visit(f"{v}.__self__", value.__self__, None)
        else:
            self._check(f"{v} is not {self._constant(value)}")
            if id(value) not in self._seen:
                self._seen.add(id(value))
                for name, item, *where in self._parts(value):
                    how, of, key = where or (ATTRIBUTE, value, name.rpartition(".")[2])
                    self._visit(name.format(v), item, Read(how, of, key, item))

    def _parts(self, value: Any) -> Iterator[Any]:
        """What is read of a thing that is the same object: how, and what it is now; then how in a `Read`, where that is
        not an attribute of it."""
        if isinstance(value, FunctionType):
            yield from self._parts_of_function(value)
        elif isinstance(value, partial):
            yield "{}.func", value.func
            yield "{}.args", value.args
            yield "{}.keywords", value.keywords
        elif isinstance(value, ModuleType):
            if value.__name__.partition(".")[0] not in _MODULES_LEFT_OUT:
                for name in sorted(self.attributes & vars(value).keys()):
                    if not isinstance(vars(value)[name], (type, ModuleType)) and not callable(vars(value)[name]):
                        yield f"{{}}.{name}", vars(value)[name]
        elif not isinstance(value, type) and not is_ours_class(type(value)):
            yield from self._parts_of_object(value)

    def _parts_of_function(self, f: FunctionType) -> Iterator[Any]:
        if is_ours(f.__code__.co_filename):
            wrapped = getattr(f, "__wrapped__", None)
            if wrapped is not None:  # such as nbg.grad(g)
                yield "{}.__wrapped__", wrapped
            if "rules" in f.__dict__:  # a function with rules of the user's
                yield "{}.rules", f.__dict__["rules"]
            return
        for i, cell in enumerate(f.__closure__ or ()):
            try:
                yield f"{{}}.__closure__[{i}].cell_contents", cell.cell_contents, ATTRIBUTE, cell, "cell_contents"
            except ValueError:  # nothing in it yet
                continue
        yield "{}.__defaults__", f.__defaults__
        for name in sorted(names_in(f.__code__)):
            self.attributes.add(name)
            if name in f.__globals__:
                yield f"{{}}.__globals__[{name!r}]", f.__globals__[name], ITEM, f.__globals__, name

    def _parts_of_object(self, value: Any) -> Iterator[Any]:
        cls = type(value)
        own = object.__getattribute__(value, "__dict__") if cls.__dictoffset__ else {}
        for name in sorted({*self.attributes, "__call__"}):
            if name in own or isinstance(getattr(cls, name, None), MemberDescriptorType):
                if hasattr(value, name):
                    yield f"{{}}.{name}", getattr(value, name)
            elif isinstance(getattr(cls, name, None), FunctionType):  # a method: what it reads counts too
                self._note("", Read(ATTRIBUTE, value, "__class__", cls))
                yield f"type({{}}).{name}", getattr(cls, name), ATTRIBUTE, cls, name


def is_ours_class(cls: type) -> bool:
    """Whether a class belongs to the library or to NumPy: its attributes are no state of the user's."""
    return cls.__module__.partition(".")[0] in (*_MODULES_LEFT_OUT, "builtins")


def names_in(code: CodeType) -> set[str]:
    """Globals and attributes that code mentions, functions defined in it included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_in(constant)
    return found
