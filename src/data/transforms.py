"""Crops, flips and transposes of training images; the only file that knows albumentations."""

import os
import random

import numpy as np

from src.data.image_io import Pixels

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks a server for its newest version

import albumentations as A  # noqa: N812  after the switch above; its documented name
import cv2

cv2.setNumThreads(0)  # loader processes are the parallelism


class PatchTransform:
    """Cuts a square patch at random and shows it in one of its 8 orientations, all equally often.

    Args:
        patch_size: Side of the patch in pixels.
    """

    def __init__(self, patch_size: int) -> None:
        self._compose = A.Compose(
            [
                A.RandomCrop(patch_size, patch_size),
                A.HorizontalFlip(p=0.5),
                A.VerticalFlip(p=0.5),
                A.Transpose(p=0.5),
            ]
        )

    def __call__(self, image: Pixels, *, seed: int) -> Pixels:
        """Return a patch of ``image``, uint8 (H, W, C) with H, W >= patch_size.

        Only the patch is read, so ``image`` may be a view of a large file.

        Args:
            image: The whole image; not changed.
            seed: Decides everything drawn here, and nothing else does.
        """
        # One stream for all four draws. `set_random_seed` would start each transform's own stream
        # from the same number: then all flip together or none does, 2 orientations instead of 8.
        self._compose.set_random_state(
            np.random.default_rng(seed),
            random.Random(seed),  # noqa: S311  no secret
        )
        patch: Pixels = self._compose(image=image)["image"]
        return patch
