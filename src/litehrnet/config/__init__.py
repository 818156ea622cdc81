"""What a run is: recipes and their reader."""
