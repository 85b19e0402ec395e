"""One training loop and what it needs: batches, optimizers, schedule, checkpoints."""
