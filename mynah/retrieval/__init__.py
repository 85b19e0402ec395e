"""Find what a log has said to something like this: its exchanges, and an index over them."""
