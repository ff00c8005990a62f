"""Take a network out of this project: `python -m src.export checkpoint=… output=net.pt2`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("export")


if __name__ == "__main__":
    main()
