"""Measure speed and memory: `python -m src.benchmark what=attention sizes=[48,64,96]`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def benchmark(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.benchmark.command import benchmark as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("benchmark", benchmark)


if __name__ == "__main__":
    main()
