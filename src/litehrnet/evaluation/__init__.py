"""The published protocol: predictions for a dataset, and the figures they give."""
