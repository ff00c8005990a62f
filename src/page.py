"""Serve a page to restore and compare photographs in: `python -m src.page`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("page")


if __name__ == "__main__":
    main()
