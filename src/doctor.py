"""Check a machine or a cluster before training on it: `python -m src.doctor trainer=ddp`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def doctor(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.doctor.command import doctor as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("doctor", doctor)


if __name__ == "__main__":
    main()
