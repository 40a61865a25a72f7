"""The examples at one size each, in nbgraph, and where they can be expressed in PyTorch (eager) and JAX (jitted).

A module has `SIZE`, a few words, and functions `nbgraph(engine)`, and maybe `torch()` and `jax()`: each prepares and
gives a `run()` that computes everything afresh and returns a list of numbers and NumPy arrays, the same in each.
`TOLERANCE` is how far they may be apart, relative to the largest entry; `NOTE`, if there is something to know.

JAX has no reverse mode through a loop that stops by the data: there the number of steps is fixed, in a `scan`.
Nothing heavy is imported before a function is called.
"""
