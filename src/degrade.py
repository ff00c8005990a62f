"""Make degraded images with a record of what was drawn: `python -m src.degrade input=…`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("degrade")


if __name__ == "__main__":
    main()
