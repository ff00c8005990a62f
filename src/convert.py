"""Bring published weights into our format: `python -m src.convert source=… architecture=…`."""

from src.runtime.cli import launch


def main() -> None:
    """Run the command line."""
    launch("convert", "src.runtime.weights.command.convert")


if __name__ == "__main__":
    main()
