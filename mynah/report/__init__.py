"""The pages that people read: of a run, and of the data alone."""
