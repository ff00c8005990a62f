"""Train a network: `python -m src.train task=denoise model=panet`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def train(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.train.command import train as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("train", train)


if __name__ == "__main__":
    main()
