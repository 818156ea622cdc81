"""Boxes of objects to the maps that a detection network learns, and back. NumPy only."""
