"""N-gram language models: the yardstick beside every trained network."""
