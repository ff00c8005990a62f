"""Records of evaluations with known scores and real pictures, written without a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from src.app.results import write_results
from src.data.image_io import to_tensor, write_png
from src.metrics.scoreboard import Scoreboard
from src.training.callbacks.pictures import panel
from tests.support.images import pixels

PROTOCOL = {"name": "denoise_rgb_clip8", "version": 1, "border": 0}
GAUSSIAN = {"_target_": "src.degradations.gaussian.GaussianNoise", "sigma": [25, 25], "clip8": True}


def write_evaluation(
    folder: Path,
    scores: Mapping[str, float],
    *,
    name: str = "net",
    benchmark: str = "photos",
    noisy: float = 20.0,
    metric: str = "psnr",
    pictures: bool = False,
    seen: Mapping[str, str] | None = None,
    **about: Any,  # noqa: ANN401
) -> Path:
    """Write results.json, scores.csv and panels of ``scores``, one an image; return the folder.

    ``seen`` are the fingerprints of the images; without them the record is one of before.
    """
    board = Scoreboard()
    for key, score in scores.items():
        board.add(key, {metric: score}, {metric: noisy})
    said = {
        "name": name,
        "command": "python -m src.evaluate checkpoint=<b>",
        "protocol": PROTOCOL,
        "degradation": GAUSSIAN,
        "inference": {"tile": "auto"},
        "scored_by": {"commit": "abc"},
        "hardware": {
            "processor": "a processor",
            "cores": 2,
            "memory_gib": 1.0,
            "gpus": [],
            "torch": "2",
            "system": "a system",
        },
    }
    pixels_of = {} if seen is None else {benchmark: seen}
    write_results(folder, {benchmark: board}, {**said, **about}, pixels=pixels_of)
    for seed, key in enumerate(scores if pictures else ()):
        target = pixels(40, 56, seed=seed)
        parts = (np.zeros_like(target), target // 2, target)  # input, restored, target
        images = [to_tensor(part) for part in parts]
        write_png(folder / "images" / f"{benchmark}_{key}.png", panel(*images))
    return folder
