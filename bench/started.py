"""The process that `python -m bench start` times: one run of a loop, and nothing else.

In: JSON on standard input: the module of an implementation (see `bench.peers`), its options, n, K and the data. Out: a
line of JSON: value and gradient, and whether Numba was imported; or what is missing.
Holds: it imports only what the implementation needs, and JSON. Whoever started it checks the result.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from types import SimpleNamespace


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    job = json.load(sys.stdin)
    module = importlib.import_module(job["module"])
    absent = module.available()
    if absent:
        print(json.dumps({"status": absent}))
        return
    import numpy as np

    data = SimpleNamespace(a=np.array(job["a"]), x=np.array(job["x"]), tol=job["tol"])
    value, gradient = module.make(job["n"], job["K"], data, **job["options"])()
    found = {"value": float(value), "gradient": np.asarray(gradient).tolist(), "numba": "numba" in sys.modules}
    print(json.dumps({"status": "ok"} | found))


if __name__ == "__main__":
    main()
