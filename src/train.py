"""Train a network: `python -m src.train task=denoise model=panet`."""

from src.runtime.cli import launch


def main() -> None:
    """Run the command line."""
    launch("train", "src.runtime.training.command.train")


if __name__ == "__main__":
    main()
