"""Pages and a prediction service on this machine's own address, and the live view in the browser."""

LOOPBACK = "127.0.0.1"
"""Address that only programs on this machine reach."""
DEFAULT_PORT = 8018
