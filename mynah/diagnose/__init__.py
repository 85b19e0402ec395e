"""What is wrong with a run, in words, with the evidence and what to do next."""
