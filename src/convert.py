"""Bring published weights into our format: `python -m src.convert source=… architecture=…`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def convert(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.convert.command import convert as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("convert", convert)


if __name__ == "__main__":
    main()
