"""Two folders of the user's own images as a datamodule."""

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
    workers: int = 2,
    cache: str | bool = "on",
    cache_dir: str | Path = ".cache/images",
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
        workers: Loader processes.
        cache: ``on`` or ``off``.
        cache_dir: Folder of the cache.
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
        workers=workers,
        cache=cache,
        cache_dir=cache_dir,
        on_error=on_error,
        channels=channels,
        seed=seed,
    )
