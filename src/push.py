"""Share a network on the Hugging Face hub: `python -m src.push checkpoint=… to=hf://owner/name`."""

from src.commands.cli.launch import launch


def main() -> None:
    """Run the command line."""
    launch("push")


if __name__ == "__main__":
    main()
