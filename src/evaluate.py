"""Score a checkpoint on benchmark images: `python -m src.evaluate checkpoint=…`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("evaluate")


if __name__ == "__main__":
    main()
