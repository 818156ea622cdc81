"""Our networks in the shapes of other programs' interfaces."""
