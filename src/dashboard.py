"""Build the W&B workspace and report of a project: `python -m src.dashboard project=…`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def dashboard(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.dashboard.command import dashboard as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("dashboard", dashboard)


if __name__ == "__main__":
    main()
