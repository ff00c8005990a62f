"""Score a checkpoint on benchmark images: `python -m src.evaluate checkpoint=…`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def evaluate(cfg: DictConfig) -> object:
    """Do what an accepted command line says."""
    from src.commands.evaluate.command import evaluate as do  # only now: torch takes a second

    return do(cfg)


def main() -> None:
    """Run the command line."""
    launch("evaluate", evaluate)


if __name__ == "__main__":
    main()
