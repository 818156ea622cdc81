"""Results in the forms of other programs: tables, data frames, and files for tools that study behavior."""
