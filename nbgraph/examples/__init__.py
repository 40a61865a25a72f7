"""Real problems, each a plain loop that is differentiated through: `python -m nbgraph.examples.NAME`.

In: options of the command line. Out: a table, or one JSON value with `--json`; a plot with `--plot FILE`.
Holds: each module's functions do the work, its `main` is the command; what cannot be done is one line and status 2.
"""
