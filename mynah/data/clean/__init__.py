"""Cleaning: small pure steps over a record, then what only all records together can tell (repeats)."""
