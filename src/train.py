"""Train a network: `python -m src.train task=denoise model=panet`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("train")


if __name__ == "__main__":
    main()
