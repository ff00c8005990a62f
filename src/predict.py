"""Restore images: `python -m src.predict checkpoint=… input=… output=…`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("predict", "src.commands.predict.command.predict")


if __name__ == "__main__":
    main()
