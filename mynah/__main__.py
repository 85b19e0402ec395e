"""`python -m mynah`."""

from mynah.cli.main import main

main()
