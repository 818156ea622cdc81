"""Training of networks in PyTorch: the loop and its parts."""
