"""What the tests of the disk cache run: programs in fresh processes, engines with a folder, what they took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbgraph as nbg

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")


#: The loop with a check at every step, and its gradient; prints what it took.
LOOP = """
import json, sys
import numpy as np
import nbgraph as nbg
engine = nbg.Engine(jit=sys.argv[1])
A = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 1.0]])
a, x = nbg.TracedTensor.from_tensor(A), nbg.constant(np.ones(3))
for _ in range(int(sys.argv[2])):
    y = a @ x
    x, previous = y / nbg.linalg.norm(y), x
    nbg.linalg.norm(x - previous).eval(engine)
gradient = (x @ (a @ x)).grad(a).eval(engine)
s = engine.stats()
print(json.dumps({"gradient": gradient.tolist(), "compiled": s.compiled, "loaded": s.loaded,
                  "interpreted": s.interpreted, "modules": sorted({"numba", "scipy.linalg"} & set(sys.modules))}))
"""


#: One fragment without kernels; prints its value and what it took.
SMALL = """
import json, sys
import nbgraph as nbg
engine, x = nbg.Engine(jit=sys.argv[1]), nbg.TracedTensor.from_tensor([1.0, 2.0, 3.0])
value = float((nbg.sqrt(x + 1) * x).sum().eval(engine))
s = engine.stats()
print(json.dumps({"value": value, "compiled": s.compiled, "loaded": s.loaded}))
"""

#: Placeholders, a checkpointed and jitted step, a size that the data decides; prints the gradient and what it took.
PLACED = """
import json, sys
import numpy as np
import nbgraph as nbg
engine, n = nbg.Engine(jit=sys.argv[1]), int(sys.argv[2])
a, x = (nbg.TracedTensor.placeholder(shape, name="a") for shape in (("n", "m"), ("m",)))
step = nbg.checkpoint(nbg.jit(lambda x: nbg.tanh(a.T @ (a @ x)) + x))
y = step(x)
g = (y[y > 0.1] ** 2).sum().grad(a)
A = np.arange(n * (n + 1.0)).reshape(n, n + 1) / n**3
found = g.eval(engine, bindings={a: A, x: np.linspace(-0.5, 1.0, n + 1)})
s = engine.stats()
print(json.dumps({"gradient": found.tolist(), "compiled": s.compiled, "loaded": s.loaded}))
"""


def command(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}", *arguments]


def run(code: str, *arguments: str, cache: Path | str = "", **variables: str) -> Any:
    """What a fresh process prints, as JSON."""
    env = os.environ | {"NBGRAPH_CACHE_DIR": str(cache)} | variables
    done = subprocess.run(command(code, *arguments), capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def value(engine: nbg.Engine) -> float:
    """A structure of its own, one fragment without kernels."""
    x = nbg.TracedTensor.from_tensor([1.0, 2.0, 3.0])
    return float((nbg.sqrt(x + 1) * x).sum().eval(engine))


WANT = float(np.sum(np.sqrt([2.0, 3.0, 4.0]) * [1.0, 2.0, 3.0]))


def always(cache: Any) -> nbg.Engine:
    return nbg.Engine(jit="always", cache_dir=cache)


def counts(engine: nbg.Engine) -> tuple[int, int]:
    return engine.stats().compiled, engine.stats().loaded


def telling(code: str) -> str:
    """The same, which prints what it found and what it was warned of."""
    caught = "import warnings; caught = warnings.catch_warnings(record=True).__enter__()"
    told = "print(json.dumps([json.loads(found), [str(w.message) for w in caught]]))"
    return f"{caught}; warnings.simplefilter('always')\n{code.replace('print(', 'found = (')}\n{told}"
