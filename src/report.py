"""Tables, a page, or a comparison from records: `python -m src.report`."""

from src.runtime.cli import launch


def main() -> None:
    """Run the command line."""
    launch("report", "src.runtime.reporting.command.report")


if __name__ == "__main__":
    main()
