"""From raw files to clean, split conversations and documents. Nothing here imports torch."""
