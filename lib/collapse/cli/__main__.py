"""`python -m collapse.cli`, where the command `book` is not installed."""

from collapse.cli import main

main()
