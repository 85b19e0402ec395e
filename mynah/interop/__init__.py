"""Other projects' formats. Foreign names for weights live here and nowhere else."""
