"""Detectors: boxes of objects in photos."""
