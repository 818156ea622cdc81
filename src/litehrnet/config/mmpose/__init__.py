"""Reading published configuration files, one part of them per file; ``published_config`` puts them together."""
