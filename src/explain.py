"""See where attention looks: `python -m src.explain checkpoint=… input=… point=x,y`."""

import re
import sys
from collections.abc import Sequence

from src.commands.cli.launch import launch

_PAIR = re.compile(r"point=(-?\d+),(-?\d+)")


def with_point(words: Sequence[str]) -> list[str]:
    """Return the words of a command line, ``point=x,y`` replaced by ``point=[x,y]``."""
    return [_PAIR.sub(r"point=[\1,\2]", word) for word in words]


def main() -> None:
    """Run the command line."""
    sys.argv[1:] = with_point(sys.argv[1:])
    launch("explain")


if __name__ == "__main__":
    main()
