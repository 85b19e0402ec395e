"""Readers: each file here turns one kind of file into rows or records, streaming where it can."""
