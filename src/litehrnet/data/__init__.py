"""Annotations, training samples and checks of data sets."""
