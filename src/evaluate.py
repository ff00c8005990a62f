"""Score a checkpoint on benchmark images: `python -m src.evaluate checkpoint=…`."""

from src.runtime.cli import launch


def main() -> None:
    """Run the command line."""
    launch("evaluate", "src.runtime.evaluation.command.evaluate")


if __name__ == "__main__":
    main()
