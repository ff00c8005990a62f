"""Check a machine or a cluster before training on it: `python -m src.doctor trainer=ddp`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("doctor")


if __name__ == "__main__":
    main()
