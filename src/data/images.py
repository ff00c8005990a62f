"""Open images as torch datasets: patches to train on, whole images to score."""

from typing import TypedDict

from torch import Tensor
from torch.utils.data import Dataset

from src.core.seeding import seed_from
from src.data.image_io import to_tensor
from src.data.opener import OpenImages
from src.data.samplers import image_of_sample
from src.data.stages import Stages
from src.data.transforms import PatchTransform


class Sample(TypedDict):
    """One image: ``target`` float32 (C, H, W) in [0, 1], and its ``key``."""

    target: Tensor
    key: str


class WholeSample(Sample):
    """A sample to score: ``grey`` says whether its file has one channel."""

    grey: bool


class TrainingPatches(Dataset[Sample]):
    """Endless patches: number n is the same one in every process, worker and resumed run.

    Args:
        images: None smaller than the largest patch.
        stages: The side of a patch follows from its number.
        seed: Chooses the order, the crops and the orientations.
    """

    def __init__(self, images: OpenImages, *, stages: Stages, seed: int) -> None:
        self.images, self.stages, self.seed = images, stages, seed
        self.transforms = {stage.patch_size: PatchTransform(stage.patch_size) for stage in stages}

    def __getitem__(self, number: int) -> Sample:
        index = image_of_sample(number, count=len(self.images), seed=self.seed)
        transform = self.transforms[self.stages.of_sample(number).patch_size]
        patch = transform(self.images.load(index), seed=seed_from("patch", self.seed, number))
        return {"target": to_tensor(patch), "key": self.images.keys[index]}


class WholeImages(Dataset[WholeSample]):
    """Each image once, whole.

    Args:
        images: The images.
    """

    def __init__(self, images: OpenImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> WholeSample:
        return {
            "target": to_tensor(self.images.load(index)),
            "key": self.images.keys[index],
            "grey": self.images.items[index].is_grey(),
        }
