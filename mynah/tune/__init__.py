"""Tasks beside talking that a model is fitted to."""
