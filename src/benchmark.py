"""Measure speed and memory: `python -m src.benchmark what=attention sizes=[48,64,96]`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("benchmark")


if __name__ == "__main__":
    main()
