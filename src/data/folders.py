"""Two folders of the user's own images as a datamodule."""

from collections.abc import Sequence
from pathlib import Path

from src.core.paths import from_root
from src.data.datamodule import RestorationData
from src.data.datasets.folder import ImageFolder


def folder_data(
    *,
    train_dir: str | Path | None,
    val_dir: str | Path | None,
    patch_size: int = 48,
    batch_size: int = 16,
    progressive: Sequence[Sequence[int]] | None = None,
    workers: int = 2,
    prefetch: int = 2,
    cache: str | bool = "on",
    cache_dir: str | Path = ".cache/images",
    cache_limit_gb: float | None = 100.0,
    on_error: str = "raise",
    channels: int = 3,
    seed: int = 0,
) -> RestorationData:
    """Return the data of two folders of images, the benchmark under the name of its folder.

    Args:
        train_dir: Clean images to train on; None where nothing is trained.
        val_dir: Clean images to score; None where nothing is scored.
        patch_size: As in :class:`RestorationData`, like all that follow.
        batch_size: Patches an optimizer step.
        progressive: Rows of [step, patch_size, batch_size], or None.
        workers: Loader processes.
        prefetch: Batches that each of them holds ready.
        cache: ``on`` or ``off``.
        cache_dir: Folder of the cache.
        cache_limit_gb: Size of the cache in 10⁹ bytes, or None.
        on_error: ``raise`` or ``skip``.
        channels: 3 for RGB, 1 for luma.
        seed: Chooses order, crops and orientations.
    """
    benchmarks = {} if val_dir is None else {from_root(val_dir).name: ImageFolder(val_dir)}
    return RestorationData(
        train=None if train_dir is None else ImageFolder(train_dir),
        benchmarks=benchmarks,
        patch_size=patch_size,
        batch_size=batch_size,
        progressive=progressive,
        workers=workers,
        prefetch=prefetch,
        cache=cache,
        cache_dir=cache_dir,
        cache_limit_gb=cache_limit_gb,
        on_error=on_error,
        channels=channels,
        seed=seed,
    )
