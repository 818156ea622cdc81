"""The geometry of every way through the package: boxes, crops, heatmaps, similarity, skeletons; numpy only."""
