"""How fast the network runs here: every runtime in turn in one process, beside what its arithmetic needs at least."""
