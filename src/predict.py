"""Restore images: `python -m src.predict checkpoint=… input=… output=…`."""

import sys

from src.commands.cli.launch import launch
from src.weights.zoo import with_zoo


def main() -> None:
    """Run the command line."""
    sys.argv[1:] = with_zoo(sys.argv[1:])
    launch("predict")


if __name__ == "__main__":
    main()
