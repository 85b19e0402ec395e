"""Personal data: what it is found by, and what is put in its place."""
