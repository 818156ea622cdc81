"""Writing models for other runtimes, each verified against PyTorch before it is kept."""
