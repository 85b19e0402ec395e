"""The command line: one table from command to function, each one call into the Python API."""
