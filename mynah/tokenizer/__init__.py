"""Text to token ids and back: byte-level BPE, the chat template, encoded data sets."""
