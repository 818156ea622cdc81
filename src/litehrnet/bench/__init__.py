"""Benchmark of all runtimes on this machine, in turn in one process, and the theoretical minimum."""
