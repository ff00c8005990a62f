"""Bring published weights into our format: `python -m src.convert source=… architecture=…`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("convert")


if __name__ == "__main__":
    main()
