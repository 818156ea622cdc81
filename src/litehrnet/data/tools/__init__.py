"""Annotations of other tools: one module for each tool, one form for all (``project.py``), the table (``kinds.py``)."""
