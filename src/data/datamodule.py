"""The one datamodule: a set to train on and named benchmarks to score."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L  # noqa: N812  its documented name
import torch
from torch.utils.data import DataLoader

from src.core.errors import ConfigError
from src.core.paths import from_root
from src.data.given import check_settings, key_of, nothing, pairs_of, trained_on
from src.data.image_io import Grey
from src.data.images import OpenImages, Sample, WholeImages, keys_in_both
from src.data.opener import OnError, Opener
from src.data.pairs import PairFolders
from src.data.patch_loader import PatchLoader
from src.data.patches import PixelTransform, TrainingPatches
from src.data.samplers import StagedSampler, Stages, UnpaddedSampler
from src.data.several import folders_of
from src.data.source import ImageSource
from src.metrics.evaluator import Evaluator

logger = logging.getLogger(__name__)

_TOO_SMALL_TO_TRAIN_ON = "a training patch of {} px; lower data.patch_size"
_TOO_SMALL_TO_SCORE = "the {} px that the protocol and its metrics can score; take other metrics"


class RestorationData(L.LightningDataModule):
    """Training patches and whole benchmark images, as batches {"target", "key"}.

    Args:
        train: Images to train on, or several sets with shares, as
            :class:`src.data.several.MixedSources` takes them; None where nothing is trained.
        benchmarks: Name → images to score.
        train_dir: In place of ``train``, a folder of clean images, or several; None for none.
        val_dir: A folder of clean images to score, or several, each under its own name.
        target_dir: In place of ``train_dir``, a folder of targets to train on, whose inputs are
            in ``input_dir``; see :class:`src.data.pairs.PairFolders`.
        input_dir: Their inputs.
        val_target_dir: A folder of targets to score, whose inputs are in ``val_input_dir``.
        val_input_dir: Their inputs.
        scale: Of pairs, the size of a target over that of its input.
        pattern: Of pairs, what of a name says which pair a file is of; None for the usual rule.
        patch_size: Side of a training patch in pixels.
        batch_size: Patches an optimizer step, of all processes and accumulated batches together.
        progressive: Rows of [step, patch_size, batch_size], each from that step on; None keeps the
            two sizes above throughout.
        workers: Loader processes for training; 0 loads in the main process.
        prefetch: Batches that each loader process holds ready.
        cache: ``on`` (or true): decode each image once into ``cache_dir``; ``off``: at each use.
        cache_dir: Folder of the cache; a relative one starts at the repository root.
        cache_limit_gb: Size in 10⁹ bytes above which images that no run has used for three days
            leave the cache, the longest unused first; None for no limit.
        on_error: ``raise``, or ``skip``: report an unusable image and go on without it.
        channels: 3 for RGB, 1 for luma.
        grey: What counts as grey: the ``content``, images without colour in whatever file, or the
            ``file``, those of one channel alone.
        transform: Changes the pixels of clean training patches, before they are degraded, e.g.
            :class:`src.data.patches.Albumentations`; None leaves them.
        seed: Chooses order, crops and orientations.

    Attributes:
        conditions: Names of the conditions under which each benchmark is scored; none is one.

    Raises:
        ConfigError: If a setting is out of its range.
    """

    def __init__(
        self,
        *,
        train: ImageSource | Mapping[str, Any] | None = None,
        benchmarks: Mapping[str, ImageSource] | None = None,
        train_dir: str | Path | Sequence[str | Path] | None = None,
        val_dir: str | Path | Sequence[str | Path] | None = None,
        target_dir: str | Path | None = None,
        input_dir: str | Path | None = None,
        val_target_dir: str | Path | None = None,
        val_input_dir: str | Path | None = None,
        scale: int = 1,
        pattern: str | None = None,
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
        grey: str = "content",
        transform: PixelTransform | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        # YAML reads an unquoted `on` as true, the command line as text; both mean the same here
        cached = {True: "on", False: "off"}[cache] if isinstance(cache, bool) else cache
        check_settings(
            {"patch_size": patch_size, "batch_size": batch_size, "workers": workers,
             "prefetch": prefetch, "scale": scale},
            {"cache": cached, "channels": channels, "on_error": on_error, "grey": grey},
        )  # fmt: skip
        if cache_limit_gb is not None and not cache_limit_gb >= 0:
            raise ConfigError(
                f"data.cache_limit_gb={cache_limit_gb} must be at least 0 (in 10⁹ bytes), or null."
            )
        self.stages = Stages(patch_size, batch_size, progressive)
        self.workers, self.prefetch = workers, prefetch
        self.transform, self.seed = transform, seed
        self._opener = Opener(
            channels=channels,
            cache_dir=from_root(cache_dir) if cached == "on" else None,
            cache_limit=None if cache_limit_gb is None else round(cache_limit_gb * 1e9),
            on_error=cast("OnError", on_error),
            grey=cast("Grey", grey),
        )
        train_source = trained_on(train, train_dir)
        pairs = pairs_of("", target_dir, input_dir, scale, pattern)
        scored = pairs_of("val_", val_target_dir, val_input_dir, scale, pattern)
        if (pairs or scored) is not None and transform is not None:
            raise ConfigError("data/transform changes clean patches before they are degraded, and "
                              "pairs are degraded already; leave it out.")  # fmt: skip
        self._train_source = pairs or train_source
        self._sources = {**(benchmarks or {}), **({} if val_dir is None else folders_of(val_dir))}
        if scored is not None:
            self._sources[scored.targets.root.name] = scored
        self.conditions: tuple[str, ...] = ()
        self._train: OpenImages | None = None
        self._benchmarks: dict[str, OpenImages] = {}

    @property
    def benchmark_names(self) -> tuple[str, ...]:
        """The benchmarks' names, with each of ``conditions``, in the order of their loaders."""
        parts = [f"_{condition}" for condition in self.conditions] or [""]
        return tuple(f"{name}{part}" for name in self._sources for part in parts)

    @property
    def described(self) -> str:
        """The images to train on in words; empty for none."""
        return "" if self._train_source is None else self._train_source.describe()

    @property
    def has_pairs(self) -> bool:
        """Whether what is trained on are pairs."""
        return isinstance(self._train_source, PairFolders)

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """The sides of the patches of each stage of training, in pixels."""
        return tuple(stage.patch_size for stage in self.stages)

    @property
    def fingerprints(self) -> dict[str, dict[str, int | str]]:
        """Of each image set that is open, its fingerprint: ``train`` and ``val/<benchmark>``."""
        opened = {f"val/{name}": images for name, images in self._benchmarks.items()}
        opened |= {} if self._train is None else {"train": self._train}
        return {name: images.fingerprint for name, images in opened.items()}

    @property
    def pixels(self) -> dict[str, dict[str, str]]:
        """Of each benchmark that is open, key → fingerprint of the pixels."""
        return {name: images.pixels() for name, images in self._benchmarks.items()}

    def check_sources(self) -> None:
        """Refuse sets of images that are not there; no image is read.

        Raises:
            DataError: If one is not.
        """
        for source in filter(None, (self._train_source, *self._sources.values())):
            source.items()

    def prepare_data(self) -> None:
        """Fill the cache in one process a machine, while the others wait."""
        if self._opener.cache_dir is not None and self.trainer is not None:
            self.setup("fit" if self.trainer.training else "test")

    def setup(self, stage: str) -> None:
        """Open and check what ``stage`` needs: ``fit`` all images, others the benchmarks.

        Raises:
            ConfigError: If the batch cannot be shared evenly.
            DataError: If there is nothing to train on or to score, or it cannot be used.
            ImageFileError: If a file cannot be used.
        """
        if stage == "fit":
            _, world = self._place()  # may refuse, so before any file is read
            self.stages.check_shares(world=world, accumulated=self._accumulated())
            first = self._train is None  # the caches are filled by a call of its own
            self._open_train()
            if first and not self._sources:
                logger.warning(
                    "No image is scored, so there will be no best.ckpt: set data.%s=<folder> to "
                    "have each validation scored.",
                    key_of("val", self._train_source),
                )
        elif not self._sources:
            raise nothing("benchmark to score", "val")
        for name, source in self._sources.items():
            if name not in self._benchmarks:
                images = self._open(name, source, self._least_scored(), _TOO_SMALL_TO_SCORE)
                self._benchmarks[name] = images
                self._warn_of_training_images(name, images)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return endless batches that begin where the trainer is, so that a resumed run goes on.

        ``target`` is float32 (B, C, P, P) in [0, 1], B and P being the stage's.
        """
        (rank, world), parts = self._place(), self._accumulated()
        patches = TrainingPatches(
            self._open_train(), stages=self.stages, transform=self.transform, seed=self.seed
        )
        return PatchLoader(
            patches,
            batch_sampler=StagedSampler(
                self.stages, start=self._step, parts=parts, rank=rank, world=world
            ),
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            prefetch_factor=self.prefetch if self.workers else None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else each start would draw from the global stream
        )

    def val_dataloader(self) -> list[DataLoader[Sample]]:
        """Return one loader a benchmark, in the order of :attr:`benchmark_names`.

        Whole images, one a batch; in several processes each image is in one of them only.
        """
        rank, world = self._place()
        return [
            DataLoader(
                WholeImages(images),
                sampler=UnpaddedSampler(len(images), rank=rank, world=world),
                pin_memory=torch.cuda.is_available(),
                generator=torch.Generator(),
            )
            for images in self._benchmarks.values()
            for _ in self.conditions or [""]
        ]

    def test_dataloader(self) -> list[DataLoader[Sample]]:
        """Return the same loaders as :meth:`val_dataloader`."""
        return self.val_dataloader()

    def _open_train(self) -> OpenImages:
        if self._train_source is None:
            raise nothing("image to train on", "train")
        if self._train is None:
            largest = max(self.patch_sizes)
            self._train = self._open(
                "train", self._train_source, largest, _TOO_SMALL_TO_TRAIN_ON, without_small=True
            )
        return self._train

    def _least_scored(self) -> int:
        """Return the least side, in pixels, that the task of the trainer can score."""
        task = None if self.trainer is None else self.trainer.lightning_module
        evaluator = getattr(task, "evaluator", None)
        if not isinstance(evaluator, Evaluator):
            return 1
        return evaluator.smallest_side(self._opener.channels, getattr(task, "scale", 1))

    def _warn_of_training_images(self, name: str, images: OpenImages) -> None:
        both = keys_in_both(images, self._train) if self._train is not None else []
        if both:
            logger.warning(
                "%d of the %d images of %s are training images too (%s): such scores do not say "
                "how well other images are restored. Choose another data.%s.",
                *(len(both), len(images), name, ", ".join(both[:3])),
                key_of("val", self._sources[name]),
            )

    def _open(
        self,
        name: str,
        source: ImageSource,
        least: int,
        reason: str,
        *,
        without_small: bool = False,
    ) -> OpenImages:
        images = self._opener.open(
            source, min_size=least, reason=reason, without_small=without_small
        )
        kept = "cache" if self._opener.cache_dir else "decoded at each use"
        logger.info(
            "data ready: %s, %d images, %.1f MB %s", name, len(images), images.size / 1e6, kept
        )
        return images

    def _place(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _accumulated(self) -> int:
        return 1 if self.trainer is None else self.trainer.accumulate_grad_batches

    def _step(self) -> int:
        # Asked at each start of an iteration: a resumed run and a second epoch both go on.
        if self.trainer is None or getattr(self.trainer, "overfit_batches", 0) > 0:
            return 0  # overfitting means the same batches again
        return self.trainer.global_step
