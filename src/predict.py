"""Restore images: `python -m src.predict checkpoint=… input=… output=…`."""

import sys

from omegaconf import DictConfig

from src.commands.cli.launch import launch
from src.weights.zoo import with_zoo


def predict(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.predict.command import predict as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    sys.argv[1:] = with_zoo(sys.argv[1:])
    launch("predict", predict)


if __name__ == "__main__":
    main()
