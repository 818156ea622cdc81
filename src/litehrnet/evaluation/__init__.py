"""Evaluation: predictions for a data set, and the metrics computed from them."""
