"""Serve a page to restore and compare photographs in: `python -m src.page`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def page(cfg: DictConfig) -> None:
    """Do what an accepted command line says."""
    from src.commands.page.command import page as do  # only now: torch takes a second

    do(cfg)


def main() -> None:
    """Run the command line."""
    launch("page", page)


if __name__ == "__main__":
    main()
