"""How right the estimated noise level is: ``python -m tools.noise_levels data/cbsd68 [1]``.

Noise of each level is added to each image, which is then rounded and clipped to 8 bits as a file
is. A second argument of 1 takes luma. The table says, in 8-bit levels, by how much the estimate is
off on the mean, in size, and at worst.
"""

import sys
from pathlib import Path

import torch

from src.core.console import make_console
from src.data.image_io import read_image, to_tensor
from src.data.source import ImageFolder
from src.metrics.protocol import quantize8
from src.ops.level import estimate_sigma

LEVELS = (0, 5, 15, 25, 50)


def errors(folder: Path, channels: int, sigma: int) -> torch.Tensor:
    """Return estimate − σ of each image of ``folder`` on the 8-bit scale."""
    off = []
    for index, file in enumerate(ImageFolder(folder).files().values()):
        clean = to_tensor(read_image(file, channels=channels))
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(index))
        estimated = estimate_sigma(quantize8(clean + noise * sigma / 255))
        off.append(float("nan") if estimated is None else estimated - sigma)
    return torch.tensor(off)


def main() -> None:
    """Print the table."""
    folder, channels = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    console = make_console()
    console.print(f"| {folder.name}, {channels} channels: σ | mean | mean size | largest |")
    for sigma in LEVELS:
        off = errors(folder, channels, sigma)
        largest = off.abs().max()
        console.print(f"| {sigma} | {off.mean():+.2f} | {off.abs().mean():.2f} | {largest:.2f} |")


if __name__ == "__main__":
    main()
