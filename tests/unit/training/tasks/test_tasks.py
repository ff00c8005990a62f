"""Super-resolution, demosaicing and JPEG removal, put together as the command line does."""

import pytest
import torch
from torch import Tensor

from src.app.build import build_task
from src.core.errors import ConfigError
from src.core.types import Clean
from src.ops.bayer import mosaic
from src.ops.color import LUMA_SLIP, luma
from src.ops.pillow import jpeg, pillow_resize
from src.ops.resize import downscale, upscale
from src.training.tasks.base import RestorationTask
from src.training.tasks.checks import check_compiler, check_patch
from tests.support.compose import compose_config

TINY = ("model.blocks=2", "model.channels=8")


def _task(*words: str) -> RestorationTask:
    return build_task(compose_config(*words)).eval()


def _batch(height: int, width: int, channels: int = 3) -> Clean:
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 256, (1, channels, height, width), generator=generator)
    return Clean(target=levels.float() / 255, key=["a"])


def _restored(task: RestorationTask, batch: Clean) -> tuple[Tensor, Tensor]:
    pair = task.degrade(batch)
    return task.restorer(task.net_input(pair)), pair["target"]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_one_word_sets_the_scale_of_everything(scale: int) -> None:
    cfg = compose_config("task=super_resolution", f"task.scale={scale}", "model=bicubic")
    assert (cfg.io.scale, cfg.degradation.scale, cfg.protocol.border) == (scale, scale, scale)
    assert cfg.model.scale == scale
    assert cfg.data.patch_size == 48 * scale


def test_whole_images_are_cut_to_a_multiple_of_the_scale() -> None:
    task = _task("task=super_resolution", "task.scale=3", "model=bicubic")
    batch = _batch(22, 26)
    pair = task.degrade(batch)
    assert torch.equal(pair["target"], batch["target"][..., :21, :24])
    assert torch.equal(pair["input"], downscale(pair["target"], 3))
    assert torch.equal(task.baseline(pair), upscale(pair["input"], 3))


def test_a_network_that_keeps_the_size_is_given_the_enlarged_input() -> None:
    task = _task("task=super_resolution", "task.scale=2", "model=panet_tiny", *TINY)
    pair = task.degrade(_batch(16, 20))
    assert torch.equal(task.net_input(pair), upscale(pair["input"], 2))
    assert task.restorer(task.net_input(pair)).shape == pair["target"].shape


def test_luma_alone_is_shrunk_without_rounding() -> None:
    task = _task("task=super_resolution_y", "model=bicubic")
    pair = task.degrade(_batch(16, 20, channels=1))
    assert torch.equal(pair["input"], downscale(pair["target"], 2, clip8=False))


def test_demosaicing_sees_grbg_in_evaluation() -> None:
    batch = _batch(16, 20)
    restored, target = _restored(_task("task=demosaic", "model=identity"), batch)
    assert torch.equal(restored, mosaic(target, "grbg"))


@pytest.mark.parametrize(("task", "channels"), [("dejpeg", 1), ("dejpeg_colour", 3)])
def test_dejpeg_sees_the_decoded_file(task: str, channels: int) -> None:
    restored, target = _restored(_task(f"task={task}", "model=identity"), _batch(24, 20, channels))
    assert torch.equal(restored[0], jpeg(target[0], quality=10))


def test_denoising_is_untouched_by_the_scale_of_other_tasks() -> None:
    task = _task("task=denoise", "model=identity")
    batch = _batch(17, 23)
    assert torch.equal(task.degrade(batch)["target"], batch["target"])


def test_a_network_of_another_scale_is_refused() -> None:
    with pytest.raises(ConfigError, match="Bicubic enlarges by 3, the task by 2"):
        _task("task=super_resolution", "model=bicubic", "model.scale=3")


def test_a_patch_that_is_no_multiple_of_the_scale_is_refused() -> None:
    task = _task("task=super_resolution", "task.scale=3", "model=panet_tiny", *TINY)
    with pytest.raises(ConfigError, match=r"patch_size=50 (.|\n)*task.scale=3: take 48 or 51"):
        check_patch(50, task.restorer.net, scale=task.scale)


def test_a_patch_that_the_network_cannot_take_is_refused() -> None:
    task = _task("task=denoise", "model=panet_tiny", *TINY)
    with pytest.raises(
        ConfigError, match="patch_size=49: PANet takes multiples of 2 pixels; take 50"
    ):
        check_patch(49, task.restorer.net, scale=task.scale)


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_compiler(torch.contiguous_format)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="no-such-compiler is not there"):
        check_compiler(torch.contiguous_format)
    with pytest.raises(ConfigError, match="Leave one of the two out"):
        check_compiler(torch.channels_last)


def test_a_model_without_parameters_is_not_trained() -> None:
    with pytest.raises(ConfigError, match="Identity has nothing to train"):
        _task("task=demosaic", "model=identity").configure_optimizers()


def test_luma_of_colour_images_is_rounded_nowhere() -> None:
    batch = _batch(17, 20)
    pair = _task("task=super_resolution_luma", "task.scale=3", "model=bicubic").degrade(batch)
    colour = batch["target"][..., :15, :18]
    assert torch.equal(pair["target"], luma(colour))
    assert torch.allclose(pair["input"], luma(downscale(colour, 3, clip8=False)), atol=1e-6)


def test_the_protocol_made_with_pillow_resizes_what_the_others_cut() -> None:
    words = ("task=super_resolution_luma", "protocol=sr_y_pillow", "degradation=bicubic_pillow")
    batch = _batch(17, 20)
    pair = _task(*words, "task.scale=3", "model=bicubic").degrade(batch)
    colour = pillow_resize(batch["target"], (15, 18))
    assert torch.equal(pair["target"], luma(colour, LUMA_SLIP))
    assert torch.equal(pair["input"], luma(pillow_resize(colour, (5, 6)), LUMA_SLIP))


def test_grey_of_denoising_is_matlabs_rgb2gray_of_0_to_255() -> None:
    task = _task("task=denoise_grey", "model=identity", "degradation.sigma=[0,0]")
    corners = torch.tensor([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    target = corners.T.reshape(1, 3, 1, 5).float() / 255
    pair = task.degrade(Clean(target=target, key=["a"]))
    assert (pair["target"] * 255).round().flatten().tolist() == [0, 255, 76, 150, 29]
    grey = torch.arange(256).float().view(1, 1, 1, -1).expand(1, 3, 1, -1) / 255
    assert torch.equal(task.degrade(Clean(target=grey, key=["a"]))["target"], grey[:, :1])


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "margin"),
    [(("task=super_resolution", "task.scale=2", "model=bicubic"), 8), (("task=dejpeg",), 8)],
    ids=["bicubic", "JPEG"],
)
def test_with_a_margin_patches_are_those_cut_from_the_degraded_image(
    words: tuple[str, ...], margin: int
) -> None:
    whole = build_task(compose_config(*words)).eval()
    task = build_task(compose_config(*words, f"task.margin={margin}")).eval()
    scale = task.scale
    image = _batch(96, 96, 3 if scale > 1 else 1)["target"]
    patch = Clean(target=image[..., 16:80, 24:88], key=["a"])  # on the grid of JPEG's blocks
    cut = task.without_margin(task.degrade(patch))
    top, left, side = (16 + margin) // scale, (24 + margin) // scale, (64 - 2 * margin) // scale
    expected = whole.degrade(Clean(target=image, key=["a"]))["input"]
    assert torch.equal(cut["input"], expected[..., top : top + side, left : left + side])
    assert cut["target"].shape[-1] == side * scale


def test_a_margin_is_a_multiple_of_the_scale() -> None:
    with pytest.raises(ConfigError, match="multiple of the scale, 3"):
        _task("task=super_resolution", "task.scale=3", "model=bicubic", "task.margin=8")
