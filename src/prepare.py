"""Download or take over image sets, checked: `python -m src.prepare dataset=set5`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def prepare(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.prepare.command import prepare as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("prepare", prepare)


if __name__ == "__main__":
    main()
