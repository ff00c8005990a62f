"""List what there is to choose from: `python -m src.catalog`, or one kind: `… catalog models`."""

import sys

from src.app.processes.process import keep_going_without_output
from src.commands.catalog.command import catalog


def main() -> None:
    """Run the command line."""
    keep_going_without_output()
    sys.exit(catalog(sys.argv[1:]))


if __name__ == "__main__":
    main()
