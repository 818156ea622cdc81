"""Detectors: photos to boxes."""
