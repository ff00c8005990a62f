"""Restore images: `python -m src.predict checkpoint=… input=… output=…`."""

from src.runtime.cli import launch


def main() -> None:
    """Run the command line."""
    launch("predict", "src.runtime.prediction.predict")


if __name__ == "__main__":
    main()
