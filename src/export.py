"""Take a network out of this project: `python -m src.export checkpoint=… output=net.pt2`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def export(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.export.command import export as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("export", export)


if __name__ == "__main__":
    main()
