"""Milliseconds of one thread that composed degradations take of a patch: median of several rounds.

python -m tools.degradation_speed
"""

import statistics
import time

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.core.console import make_console
from src.core.paths import CONF_DIR
from src.core.seeding import generator_for

RECIPES = ("chain", "real_esrgan", "bsrgan")
SIDE, SCALE, ROUNDS, DRAWS = 192, 4, 5, 20


def main() -> None:
    """Print a line a recipe."""
    torch.set_num_threads(1)
    console = make_console()
    patch = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for name in RECIPES:
        node = OmegaConf.load(CONF_DIR / f"degradation/{name}.yaml")
        node.scale, node.clip8 = SCALE, True
        degradation = instantiate(node, _convert_="all").train()
        taken = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            for number in range(DRAWS):
                degradation(patch, generator_for("cpu", "noise", number))
            taken.append((time.perf_counter() - begun) / DRAWS * 1000)
        console.print(
            f"{name:12} {statistics.median(taken):6.1f} ms a patch of {SIDE} px, x{SCALE}"
        )


if __name__ == "__main__":
    main()
