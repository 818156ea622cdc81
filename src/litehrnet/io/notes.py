"""Notes to the user of a library: one line each, on the error stream where logging is not set up."""

import logging
from functools import cache


@cache
def say_once(text: str) -> None:
    """Log a line, unless this process has logged the same before."""
    logging.getLogger("litehrnet").warning(text)
