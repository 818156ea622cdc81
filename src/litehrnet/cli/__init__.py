"""The command line: one file per command, which parses arguments, calls the package and prints."""
