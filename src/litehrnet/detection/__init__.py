"""Boxes of objects: from boxes to the maps that a detection network learns, and back. NumPy only."""
