"""Share a network on the Hugging Face hub: `python -m src.push checkpoint=… to=hf://owner/name`."""

from omegaconf import DictConfig

from src.commands.cli.launch import launch


def push(cfg: DictConfig) -> None:
    """Do what an accepted command line says."""
    from src.commands.push.command import push as do  # only now: torch takes a second

    do(cfg)


def main() -> None:
    """Run the command line."""
    launch("push", push)


if __name__ == "__main__":
    main()
