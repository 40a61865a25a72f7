"""Benchmarks against other libraries, one workload a file; `python -m bench` lists them. Not part of the package."""
