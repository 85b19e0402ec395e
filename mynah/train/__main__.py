"""`python -m mynah.train`, which is `mynah train`: what `torchrun -m mynah.train RECIPE -o DIR` starts."""

import sys

from mynah.cli.main import main

main(["train", *sys.argv[1:]])
