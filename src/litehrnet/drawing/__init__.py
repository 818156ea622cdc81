"""Pictures of results: skeletons, class maps, contact sheets."""
