"""Training for some minutes on one GPU that keeps all people in its memory and makes the samples itself."""
