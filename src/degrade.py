"""Make degraded images with a record of what was drawn: `python -m src.degrade input=…`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def degrade(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.degrade.command import degrade as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("degrade", degrade)


if __name__ == "__main__":
    main()
