"""Download or take over image sets, checked: `python -m src.prepare dataset=set5`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("prepare")


if __name__ == "__main__":
    main()
