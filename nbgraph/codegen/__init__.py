"""Code generation: a lowered SSA body -> the Python source of one function over the word table.

`fuse` groups operations into loop nests and calls, `storage` gives every value a place, `emit` writes the source.
"""

from nbgraph.codegen.emit import Source, full_text, generate

__all__ = ["Source", "full_text", "generate"]
