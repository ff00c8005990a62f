"""Tables, a page, or a comparison from records: `python -m src.report`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def report(cfg: DictConfig) -> None:
    """Do what an accepted command line says."""
    from src.commands.report.command import report as do  # only now: torch takes a second

    do(cfg)


def main() -> None:
    """Run the command line."""
    launch("report", report)


if __name__ == "__main__":
    main()
