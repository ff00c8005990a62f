"""List what has been trained, how far and how well: `python -m src.runs [folder]`."""

import sys

from src.app.processes.process import keep_going_without_output
from src.commands.runs.command import runs


def main() -> None:
    """Run the command line."""
    keep_going_without_output()
    sys.exit(runs(sys.argv[1:]))


if __name__ == "__main__":
    main()
