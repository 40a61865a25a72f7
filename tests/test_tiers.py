"""The choice of tiers: its cost, by the model it goes by, against the best that could be done with foresight."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nbgraph.engine import tiers
from nbgraph.graph import FragmentBuilder
from nbgraph.kinds import Kernel
from nbgraph.ssa import program_for


def program(kernels: str, chain: int):
    """Elementwise operations after products (p), solutions (s) and permutations by sorting (o)."""
    b = FragmentBuilder()
    x = v = b.input(("float64", ("n", "n")))
    for letter in kernels:
        if letter == "p":
            v = b.op("contract", v, x, a=(0, 1), b=(1, 2), out=(0, 2))
        else:
            v = b.op("solve", x, v) if letter == "s" else b.op("sort", v)
    for _ in range(chain):
        v = b.op("sin", v)
    fragment = b.build([v])
    return program_for(fragment, frozenset(fragment.outputs))


KINDS = (("", 1), ("", 30), ("p", 2), ("ppp", 8), ("s", 3), ("ps", 9))
PROGRAMS = [program(kernels, chain) for kernels, chain in KINDS]


def kernels_of(body):
    return {(i.op.kernel, body.types[i.ins[0]].code) for i in body.instrs if isinstance(i.op, Kernel)}


def seconds(compiled, totals, gains) -> float:
    """The cost where these programs are compiled before their first call, and no others."""
    bodies = [PROGRAMS[k].lowered()[0] for k in compiled]
    needed = {kernel for body in bodies for kernel in kernels_of(body)}
    names = [name for name, _ in needed] + (list(tiers.DRIVERS) if bodies else [])
    shared = sum(tiers.FIRST_USE.get(name, tiers.FIRST_USE_OF_OTHERS) for name in names)
    run = sum(t * (gains[k] if k in compiled else 1) for k, t in enumerate(totals))
    return shared + sum(map(tiers.own_seconds, bodies)) + run


def online(calls, gains) -> float:
    """The cost of what the tiers choose, call by call."""
    made, account, total = set(), tiers.Account(), 0.0
    ledgers = [tiers.Ledger(p, account) for p in PROGRAMS]
    for ledger in ledgers:
        ledger.is_made = lambda *kernel: kernel in made
    compiled = set()
    for k, t in calls:
        ledger = ledgers[k]
        if k not in compiled and ledger.pays(1):
            compiled.add(k)
            total += ledger.own + tiers.shared_seconds(ledger.body, ledger.is_made)
            ledger.pay()
            made |= {*kernels_of(ledger.body), *((name, "") for name in tiers.DRIVERS)}
        total += t * gains[k] if k in compiled else t
        if k not in compiled:
            ledger.record(t)
    return total


@pytest.mark.parametrize("seed", range(40))
def test_never_much_worse_than_the_best_choice(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "IMPORT", 0.0)
    rng = np.random.default_rng(seed)
    which = rng.permutation(len(PROGRAMS))[: rng.integers(1, len(PROGRAMS) + 1)]
    gains = rng.uniform(0, 0.9, len(PROGRAMS))
    costs = [tiers.own_seconds(p.lowered()[0]) for p in PROGRAMS]
    calls = []
    for k in which:  # from far less than compiling costs to far more, in calls that are short against that
        n = int(rng.integers(30, 300))
        calls += [(k, costs[k] * 10 ** rng.uniform(-1, 1.5) / n)] * n
    if seed % 2:
        rng.shuffle(calls)
    calls = [(int(k), float(t)) for k, t in calls]
    totals = [sum(t for j, t in calls if j == k) for k in range(len(PROGRAMS))]
    subsets = itertools.chain.from_iterable(itertools.combinations(which, n) for n in range(len(which) + 1))
    best = min(seconds(subset, totals, gains) for subset in subsets)
    assert online(calls, gains) <= 2.2 * best


def test_what_programs_share_is_paid_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "IMPORT", 0.0)
    made, account = set(), tiers.Account()
    first, second, third = (tiers.Ledger(PROGRAMS[k], account) for k in (2, 3, 4))
    for ledger in (first, second, third):
        ledger.is_made = lambda *kernel: kernel in made
        ledger.record(ledger.own)
    for ledger in (first, second):
        ledger.record(0.4 * first.shared())
        assert not ledger.pays(1)
    assert second.pays(10)  # calls that are known to come count
    second.record(0.2 * first.shared() + 1e-9)
    assert first.pays(1) and second.pays(1)
    first.pay()
    made |= {*kernels_of(first.body), *((name, "") for name in tiers.DRIVERS)}
    assert second.pays(1)  # what it needed besides is there
    assert not third.pays(1)  # the time that paid for that does not pay for another kernel
