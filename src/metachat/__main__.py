"""`python -m metachat` is `metachat`."""

from metachat.cli import main

main()
