"""The decoder: one transformer whose parts its config chooses."""
