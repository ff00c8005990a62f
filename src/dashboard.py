"""Build the W&B workspace and report of a project: `python -m src.dashboard project=…`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("dashboard")


if __name__ == "__main__":
    main()
