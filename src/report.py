"""Tables, a page, or a comparison from records: `python -m src.report`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("report")


if __name__ == "__main__":
    main()
