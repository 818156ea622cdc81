"""Export of models for other runtimes, each verified before its file appears."""
