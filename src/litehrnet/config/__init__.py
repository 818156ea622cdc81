"""Settings of a run: recipes and their reader."""
