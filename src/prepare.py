"""Download or take over image sets, checked: `python -m src.prepare dataset=set5`."""

from src.runtime.cli import launch


def main() -> None:
    """Run the command line."""
    launch("prepare", "src.runtime.preparation.prepare")


if __name__ == "__main__":
    main()
