"""Download or take over image sets, checked: `python -m src.prepare dataset=set5`."""

from typing import Any

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def prepare(cfg: DictConfig) -> Any:  # noqa: ANN401
    """Do what an accepted command line says."""
    from src.commands.prepare.command import prepare as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("prepare", prepare)


if __name__ == "__main__":
    main()
