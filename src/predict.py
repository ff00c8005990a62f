"""Restore images: `python -m src.predict checkpoint=… input=… output=…`."""

from typing import Any

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def predict(cfg: DictConfig) -> Any:  # noqa: ANN401
    """Do what an accepted command line says."""
    from src.commands.predict.command import predict as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("predict", predict)


if __name__ == "__main__":
    main()
