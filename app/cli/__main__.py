"""`python -m app.cli`: the `tenure` command where it is not installed."""

from app.cli import main

main()
