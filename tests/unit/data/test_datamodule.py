import inspect
import itertools
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import lightning as L  # noqa: N812
import pytest
import torch
import yaml
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from src.core.errors import ConfigError, DataError, ImageFileError
from src.core.paths import CONF_DIR
from src.core.renamed import current_name
from src.core.types import Clean
from src.data.datamodule import RestorationData
from src.data.datasets.synthetic import Synthetic
from src.data.images import Sample
from src.data.source import ImageFolder
from src.metrics.evaluator import Evaluator
from src.metrics.protocol import Protocol
from tests.support.images import pixels, write, write_folder


class Recorder(L.LightningModule):
    """Keeps what it is given to train on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.seen: list[tuple[list[str], Tensor]] = []
        self.scored: list[str] = []

    def training_step(self, batch: Clean, batch_idx: int) -> Tensor:
        self.seen.append((list(batch["key"]), batch["target"].clone()))
        loss: Tensor = self.layer(batch["target"]).mean()
        return loss

    def validation_step(self, batch: Clean, batch_idx: int) -> None:
        self.scored += batch["key"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(steps: int, folder: Path, *callbacks: Callback, **settings: object) -> L.Trainer:
    defaults: dict[str, object] = {
        "accelerator": "cpu",
        "max_steps": steps,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": folder,
        "use_distributed_sampler": False,
    }
    return L.Trainer(callbacks=list(callbacks), **(defaults | settings))  # type: ignore[arg-type]


def data(folder: Path, **settings: object) -> RestorationData:
    """Return data of three 20×24 images under ``folder``, for training and scoring."""
    if not (folder / "images").exists():
        write_folder(folder / "images", 3)
    defaults: dict[str, object] = {
        "train": ImageFolder(folder / "images"),
        "benchmarks": {"own": ImageFolder(folder / "images")},
        "patch_size": 8,
        "batch_size": 4,
        "workers": 0,
        "cache_dir": folder / "cache",
    }
    return RestorationData(**(defaults | settings))  # type: ignore[arg-type]


def first(loader: DataLoader[Sample], count: int) -> list[Clean]:
    batches: Iterator[Clean] = iter(loader)
    return list(itertools.islice(batches, count))


def patches(module: RestorationData, count: int = 3) -> Tensor:
    module.setup("fit")
    return torch.stack([batch["target"] for batch in first(module.train_dataloader(), count)])


def test_a_batch_is_targets_in_unit_range_with_their_keys(tmp_path: Path) -> None:
    module = data(tmp_path)
    module.setup("fit")
    (batch,) = first(module.train_dataloader(), 1)
    assert batch["target"].shape == (4, 3, 8, 8)
    assert batch["target"].dtype == torch.float32
    assert batch["target"].min() >= 0
    assert 0.9 < batch["target"].max() <= 1
    assert set(batch["key"]) <= {"a", "b", "c"}
    assert len(batch["key"]) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_seed_gives_the_same_patches_for_any_number_of_workers(
    tmp_path: Path, workers: int
) -> None:
    alone = patches(data(tmp_path, seed=3))
    assert torch.equal(patches(data(tmp_path, seed=3, workers=workers)), alone)
    assert not torch.equal(patches(data(tmp_path, seed=4)), alone)


def test_crops_depend_on_the_seed_and_on_the_sample(tmp_path: Path) -> None:
    one = ImageFolder(write_folder(tmp_path / "one", 1))
    first, second = (patches(data(tmp_path, train=one, seed=seed)) for seed in (3, 4))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_the_global_stream_of_random_numbers_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    patches(data(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_cache_changes_no_pixel(tmp_path: Path) -> None:
    assert torch.equal(patches(data(tmp_path, cache="off")), patches(data(tmp_path)))
    assert (tmp_path / "cache").exists()


def test_without_a_cache_no_folder_is_made(tmp_path: Path) -> None:
    patches(data(tmp_path, cache="off"))
    assert not (tmp_path / "cache").exists()


class SaveAtFive(Callback):
    def on_train_batch_end(self, trainer: L.Trainer, *args: object, **kwargs: object) -> None:
        path = Path(trainer.default_root_dir) / "five.ckpt"
        if trainer.global_step == 5 and not path.exists():  # the end of the step
            trainer.save_checkpoint(path)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_goes_on_with_the_next_patches(tmp_path: Path, accumulate: int) -> None:
    settings = {"accumulate_grad_batches": accumulate, "limit_val_batches": 0}
    whole, resumed = Recorder(), Recorder()
    trainer(8, tmp_path, SaveAtFive(), **settings).fit(whole, data(tmp_path))
    trainer(8, tmp_path, **settings).fit(
        resumed, data(tmp_path), ckpt_path=tmp_path / "five.ckpt", weights_only=True
    )
    assert len(whole.seen) == 8 * accumulate
    assert len(resumed.seen) == 3 * accumulate
    for (keys, target), (keys_again, target_again) in zip(
        whole.seen[5 * accumulate :], resumed.seen, strict=True
    ):
        assert keys == keys_again
        assert torch.equal(target, target_again)


def test_accumulating_splits_the_same_global_batch(tmp_path: Path) -> None:
    whole, split = Recorder(), Recorder()
    trainer(2, tmp_path, limit_val_batches=0).fit(whole, data(tmp_path))
    trainer(2, tmp_path, limit_val_batches=0, accumulate_grad_batches=2).fit(split, data(tmp_path))
    assert torch.equal(
        torch.cat([target for _, target in split.seen]),
        torch.cat([target for _, target in whole.seen]),
    )


def test_short_epochs_do_not_repeat_their_patches(tmp_path: Path) -> None:
    long, short = Recorder(), Recorder()
    trainer(6, tmp_path, limit_val_batches=0).fit(long, data(tmp_path))
    trainer(6, tmp_path, limit_val_batches=0, limit_train_batches=2).fit(short, data(tmp_path))
    assert [keys for keys, _ in short.seen] == [keys for keys, _ in long.seen]


def test_overfitting_repeats_one_batch(tmp_path: Path) -> None:
    task = Recorder()
    trainer(3, tmp_path, overfit_batches=1, limit_val_batches=0).fit(task, data(tmp_path))
    assert torch.equal(task.seen[0][1], task.seen[2][1])


def test_whole_images_are_scored_in_order_one_a_batch(tmp_path: Path) -> None:
    module = data(tmp_path)
    task = Recorder()
    trainer(1, tmp_path).validate(task, module, verbose=False)
    assert task.scored == ["a", "b", "c"]
    (loader,) = module.test_dataloader()
    assert [batch["target"].shape for batch in loader] == [(1, 3, 20, 24)] * 3


def test_benchmarks_keep_their_order(tmp_path: Path) -> None:
    module = RestorationData(
        train=None,
        benchmarks={"z": Synthetic(count=1), "a": Synthetic(count=2)},
        cache_dir=tmp_path,
    )
    module.setup("test")
    assert module.benchmark_names == ("z", "a")
    assert [len(loader) for loader in module.test_dataloader()] == [1, 2]


def test_a_batch_that_cannot_be_shared_is_refused_before_any_file_is_read(tmp_path: Path) -> None:
    module = data(tmp_path, batch_size=5)
    with pytest.raises(ConfigError, match=r"batch_size=5 cannot.*multiple of 2, for example 6"):
        trainer(1, tmp_path, accumulate_grad_batches=2).fit(Recorder(), module)
    assert not (tmp_path / "cache").exists()


def test_an_unusable_file_is_raised_with_its_name(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", 2)
    (tmp_path / "images/bad.png").write_text("hello")
    for cache in ("on", "off"):
        with pytest.raises(ImageFileError, match=r"bad\.png: is not an image"):
            data(tmp_path, cache=cache).setup("fit")


def test_all_unusable_files_are_named_at_once(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", 2)
    for name in ("bad", "worse"):
        (tmp_path / f"images/{name}.png").write_text("hello")
    with pytest.raises(DataError, match=r"2 images(.|\n)*bad\.png(.|\n)*worse(.|\n)*on_error=skip"):
        data(tmp_path).setup("fit")


def test_skipping_reports_each_unusable_file_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(tmp_path / "images", 2)
    (tmp_path / "images/bad.png").write_text("hello")
    write(tmp_path / "images/small.png", pixels(7, 30))
    module = data(tmp_path, on_error="skip", benchmarks={})
    with caplog.at_level(logging.INFO):
        module.setup("fit")
        module.setup("fit")
    assert caplog.text.count("bad.png: is not an image") == 1
    small = "are left out (small): smaller than a training patch of 8 px; lower data.patch_size"
    assert caplog.text.count(small) == 1
    assert "data ready: train, 2 images" in caplog.text


def test_skipping_everything_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/bad.png").write_text("hello")
    with pytest.raises(DataError, match="none can be used"):
        data(tmp_path, on_error="skip").setup("fit")


def test_a_small_image_may_be_scored_but_not_trained_on(tmp_path: Path) -> None:
    module = data(tmp_path, patch_size=21)
    module.setup("test")
    with pytest.raises(DataError, match=r"24×20 px is smaller(.|\n)*data\.patch_size"):
        module.setup("fit")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"patch_size": 0}, "patch_size=0 must be a whole number"),
        ({"workers": -1}, "workers=-1 must be"),
        ({"channels": 4}, r"channels=4 is not possible\. Allowed: 1, 3"),
        ({"cache": "of"}, r"cache=of is not possible\. Did you mean off"),
        ({"on_error": "ignore"}, "on_error=ignore is not possible"),
    ],
)
def test_a_setting_out_of_range_is_refused(
    tmp_path: Path, setting: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        data(tmp_path, **setting)


def test_luma_has_one_channel(tmp_path: Path) -> None:
    assert patches(data(tmp_path, channels=1)).shape == (3, 4, 1, 8, 8)


def test_folders_may_be_given_for_scoring_only(tmp_path: Path) -> None:
    write_folder(tmp_path / "Set2", 2)
    module = RestorationData(val_dir=tmp_path / "Set2", cache_dir=tmp_path / "cache")
    module.setup("test")
    assert module.benchmark_names == ("Set2",)
    with pytest.raises(DataError, match=r"no image to train on\. Set data\.train_dir"):
        module.setup("fit")


def test_nothing_to_score_is_refused_when_scoring(tmp_path: Path) -> None:
    module = RestorationData(train_dir=write_folder(tmp_path / "t"))
    with pytest.raises(DataError, match=r"data\.val_dir"):
        module.setup("test")


def test_two_answers_to_what_is_trained_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.train and data\.train_dir=.* leave one out"):
        RestorationData(train=Synthetic(), train_dir=tmp_path)


def test_a_setting_of_data_is_one_parameter_and_one_line_of_yaml() -> None:
    shared = set(yaml.safe_load((CONF_DIR / "data/_base.yaml").read_text(encoding="utf-8")))
    parameters = set(inspect.signature(RestorationData).parameters)
    which = {"train", "benchmarks", "train_dir", "val_dir", "scale", "pattern"}
    which |= {f"{split}{side}_dir" for split in ("", "val_") for side in ("target", "input")}
    assert (shared - {"_target_", "defaults"}) | {"transform"} == parameters - which


def test_data_of_a_folder_as_earlier_checkpoints_name_it_are_still_built(tmp_path: Path) -> None:
    before = {
        "_target_": current_name("src.data.folders.folder_data"),
        "train_dir": str(tmp_path / "Train"),
        "val_dir": str(tmp_path / "Set2"),
        "patch_size": 24,
        "cache": "off",
    }
    module = instantiate(before, _convert_="all")
    assert isinstance(module, RestorationData)
    assert module.benchmark_names == ("Set2",)
    assert module.patch_sizes == (24,)


def _scoring(least: int) -> Recorder:
    """Return a module whose protocol cuts a border, and whose metric refuses a small rest."""

    def picky(restored: Tensor, target: Tensor) -> Tensor:
        if min(target.shape[-2:]) < least:
            raise RuntimeError("too small")
        return torch.zeros(len(target))

    module = Recorder()
    module.evaluator = Evaluator(Protocol("p", border=2), {"picky": picky})
    return module


def test_an_image_too_small_to_score_is_named_before_the_first_step(tmp_path: Path) -> None:
    module = data(tmp_path, patch_size=8)
    write(tmp_path / "images/banner.png", pixels(10, 200))
    with pytest.raises(DataError, match=r"banner: 200×10 px is smaller than the 11 px.*score"):
        trainer(1, tmp_path).fit(_scoring(least=7), datamodule=module)


def test_an_image_too_small_to_score_is_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    module = data(tmp_path, patch_size=8, on_error="skip")
    write(tmp_path / "images/banner.png", pixels(10, 200))
    task = _scoring(least=7)
    trainer(1, tmp_path, val_check_interval=1, check_val_every_n_epoch=None).fit(task, module)
    assert task.scored == ["a", "b", "c"]


def test_metrics_that_can_score_no_size_refuse_none() -> None:
    assert _scoring(least=10_000).evaluator.smallest_side(3, scale=2) == 1
    assert _scoring(least=7).evaluator.smallest_side(3, scale=4) == 12


@pytest.mark.parametrize("cache", ["on", "off"])
def test_scored_images_that_are_training_images_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cache: str
) -> None:
    other = write_folder(tmp_path / "other", 2, seed=5)
    (other / "under_another_name.png").write_bytes(
        (write_folder(tmp_path / "images") / "b.png").read_bytes()
    )
    module = data(tmp_path, benchmarks={"other": ImageFolder(other)}, cache=cache)
    with caplog.at_level(logging.WARNING):
        module.setup("fit")
    assert "1 of the 3 images of other are training images too (under_another_name)" in caplog.text
    caplog.clear()
    (other / "under_another_name.png").unlink()
    data(tmp_path, benchmarks={"other": ImageFolder(other)}, cache=cache).setup("fit")
    assert "training images too" not in caplog.text
    with Image.open(tmp_path / "images/b.png") as image:  # the same pixels in another file
        image.save(other / "c.bmp")
    data(tmp_path, benchmarks={"other": ImageFolder(other)}, cache=cache).setup("fit")
    assert "1 of the 3 images of other are training images too (c)" in caplog.text


def test_scored_pairs_whose_targets_are_training_images_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = write_folder(tmp_path / "images")
    inputs = write_folder(tmp_path / "inputs", seed=7)
    pairs = {"val_target_dir": images, "val_input_dir": inputs}
    module = RestorationData(train_dir=images, **pairs, patch_size=8, cache="off")
    with caplog.at_level(logging.WARNING):
        module.setup("fit")
    assert "3 of the 3 images of images are training images too" in caplog.text
    assert "Choose another data.val_target_dir." in caplog.text


def test_what_is_trained_on_is_described_with_shares(tmp_path: Path) -> None:
    sets = {"a": {"dir": tmp_path / "a", "share": 3}, "b": {"dir": tmp_path / "b"}}
    described = RestorationData(train=sets).described
    assert re.fullmatch(rf"3 of a \(.*{tmp_path}/a\) and 1 of b \(.*{tmp_path}/b\)", described)
