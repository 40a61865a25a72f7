"""Power iteration with a convergence check at every step, and its gradient; see `bench.loops`."""
