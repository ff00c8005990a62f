"""Patches to train on: cut from an image, turned, and recoloured where asked for."""

import inspect
import os
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch.utils.data import Dataset

from src.core.errors import ConfigError, DataError, did_you_mean
from src.core.seeding import seed_from
from src.data.depth import WHITE, Pixels
from src.data.image_io import to_tensor
from src.data.images import OpenImages, Sample
from src.data.samplers import Stages, image_of_sample, set_of_sample


@dataclass(frozen=True)
class Crop:
    """A square of an image, in one of its eight orientations.

    Attributes:
        top: Its first row.
        left: Its first column.
        side: Its height and width in pixels.
        mirrored: Whether left and right change places.
        flipped: Whether top and bottom change places, after that.
        transposed: Whether rows and columns change places, at last.
    """

    top: int
    left: int
    side: int
    mirrored: bool
    flipped: bool
    transposed: bool

    @classmethod
    def draw(cls, height: int, width: int, side: int, *, seed: int) -> "Crop":
        """Return one of all crops of an image of ``height`` × ``width``, all equally likely.

        Args:
            height: At least ``side``.
            width: At least ``side``.
            side: Height and width of the crop in pixels.
            seed: Decides everything drawn here, and nothing else does.
        """
        draws = random.Random(seed)  # noqa: S311  no secret
        draws.random()  # not used: runs begun when albumentations cut the patches go on unchanged
        top = int((height - side + 1) * draws.random())
        left = int((width - side + 1) * draws.random())
        return cls(top, left, side, *(draws.random() < 0.5 for _ in range(3)))

    def of(self, image: Pixels, *, scale: int = 1) -> Pixels:
        """Return the crop as a view of ``image``, (S, S, C) with S = ``side`` · ``scale``.

        Only the crop is read, so ``image`` may be a view of a large file.

        Args:
            image: (H, W, C).
            scale: How many times larger ``image`` is than the one that the crop was drawn for: of a
                pair of different size, the crop is drawn for the smaller image.
        """
        top, left, side = (number * scale for number in (self.top, self.left, self.side))
        patch = image[top : top + side, left : left + side]
        patch = patch[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]
        return patch.transpose(1, 0, 2) if self.transposed else patch


@runtime_checkable
class PixelTransform(Protocol):
    """What changes the pixels of a patch and not their places."""

    def __call__(self, patch: Pixels, *, seed: int) -> Pixels:
        """Return a changed copy of ``patch``, of its shape and type, decided by ``seed`` alone."""
        ...


class Albumentations:
    """Transforms of albumentations by name, one after another.

    They change the clean patch, before it is degraded: input and target change together. What
    moves pixels is refused: crops and orientations are drawn by :class:`Crop`.

    Args:
        transforms: Mappings with the ``name`` of each transform and its arguments, e.g.
            ``{name: RandomGamma, gamma_limit: [80, 120], p: 0.5}``.

    Raises:
        ConfigError: If a name or an argument is unknown, or a transform moves pixels.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]]) -> None:
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks a server for news
        import albumentations as A  # noqa: N812  2 s that other runs need not wait
        import cv2

        cv2.setNumThreads(0)  # loader processes are the parallelism
        self.transforms = transforms
        self._compose = A.Compose([_transform(A, entry) for entry in transforms])

    def __reduce__(self) -> tuple[type["Albumentations"], tuple[Sequence[Mapping[str, Any]]]]:
        """Have loader processes that are not forked import albumentations as above."""
        return Albumentations, (self.transforms,)

    def __call__(self, patch: Pixels, *, seed: int) -> Pixels:
        """Return a changed copy of ``patch`` (H, W, C): uint8, else float32 in [0, 1].

        Raises:
            ConfigError: If what comes out has another shape or type.
        """
        if patch.dtype != np.uint8:  # the library's only other type
            patch = (patch / np.float32(WHITE[patch.dtype])).astype(np.float32)
        # One stream for all. Left alone, each process and epoch would draw the same numbers, and
        # `set_random_seed` would start each transform's own stream from the same number.
        self._compose.set_random_state(
            np.random.default_rng(seed),
            random.Random(seed),  # noqa: S311  no secret
        )
        changed: Pixels = self._compose(image=np.ascontiguousarray(patch))["image"]
        if changed.shape != patch.shape or changed.dtype != patch.dtype:
            raise ConfigError(
                f"data.transform makes {changed.dtype} {changed.shape} of a patch of "
                f"{patch.dtype} {patch.shape}; leave out what changes shape or type."
            )
        return changed


def _transform(library: Any, entry: Mapping[str, Any]) -> Any:  # noqa: ANN401
    arguments = dict(entry)
    name = str(arguments.pop("name", None))
    where = f"data.transform.transforms: {name}"
    base, pixel_only = library.BasicTransform, library.ImageOnlyTransform
    known = {key: kind for key, kind in vars(library).items() if inspect.isclass(kind)}
    usable = [key for key, kind in known.items() if issubclass(kind, pixel_only)]
    kind = known.get(name)
    if kind is None or not issubclass(kind, base):
        raise ConfigError(
            f"{where} is no transform of albumentations. {did_you_mean(name, usable)}"
        )
    if not issubclass(kind, pixel_only):
        raise ConfigError(
            f"{where} moves or drops pixels; crops and orientations are drawn already. "
            "Take one that changes pixels only, e.g. RandomGamma."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an unknown argument is only warned of
            return kind(**arguments)
    except Exception as error:
        raise ConfigError(f"{where} is not possible: {error}") from error


class TrainingPatches(Dataset[Sample]):
    """Endless patches: number n is the same one in every process, worker and resumed run.

    Args:
        images: None smaller than the largest patch.
        stages: The side of a patch follows from its number.
        transform: Changes the pixels of each patch; None leaves them.
        seed: Chooses the order, the crops and the orientations.
    """

    def __init__(
        self, images: OpenImages, *, stages: Stages, transform: PixelTransform | None, seed: int
    ) -> None:
        self.images, self.stages, self.transform, self.seed = images, stages, transform, seed
        self._sets = [images.indices(name) for name in images.shares]
        if not all(self._sets):
            raise DataError(f"Of {', '.join(images.shares)} one set has no image to train on.")

    def __getitem__(self, number: int) -> Sample:
        index = self._index(number)
        image = self.images.load(index)
        given = self.images.load_input(index)
        smaller = image if given is None else given
        height, width, _ = smaller.shape
        scale = image.shape[0] // height
        side = self.stages.of_sample(number).patch_size // scale
        crop = Crop.draw(height, width, side, seed=seed_from("patch", self.seed, number))
        patch = crop.of(image, scale=scale)
        if self.transform is not None:
            patch = self.transform(patch, seed=seed_from("transform", self.seed, number))
        sample: Sample = {"target": to_tensor(patch), "key": self.images.keys[index]}
        return sample if given is None else {**sample, "input": to_tensor(crop.of(given))}

    def _index(self, number: int) -> int:
        if not self._sets:
            return image_of_sample(number, count=len(self.images), seed=self.seed)
        shares = tuple(self.images.shares.values())
        which, of_set = set_of_sample(number, shares=shares, seed=self.seed)
        chosen = self._sets[which]
        return chosen[image_of_sample(of_set, count=len(chosen), seed=self.seed)]
