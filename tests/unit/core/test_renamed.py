"""Files made before a component moved still name one that is there."""

import importlib

import pytest
from omegaconf import OmegaConf

from src.app.config.check import bring_up_to_date
from src.core.renamed import current_name


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("src.degradations.bicubic_pillow", "PillowBicubic"),
        ("src.degradations.gaussian_seed0", "SharedGaussianNoise"),
        ("src.metrics.psnr_b", "psnr_b"),
        ("src.metrics.ssim_uniform", "ssim_uniform"),
        ("src.optim.multistep", "MultiStep"),
        ("src.optim.warmup_cosine", "WarmupCosine"),
        ("src.callbacks.graceful_stop", "GracefulStop"),
        ("src.callbacks.image_panels", "ImagePanels"),
        ("src.callbacks.score_tables", "ScoreTables"),
        ("src.training.callbacks.attention_maps", "AttentionMaps"),
        ("src.callbacks.throughput", "Throughput"),
        ("src.callbacks.csv_logger", "ResumableCSVLogger"),
        ("src.training.strategy", "fsdp"),
        ("src.training.strategy", "ddp"),
        ("src.tasks.super_resolution_luma", "SuperResolutionLuma"),
        ("src.training.tasks.denoise", "Denoise"),
        ("src.models.backbones.bicubic", "Bicubic"),
        ("src.data.datasets.folder", "ImageFolder"),
        ("src.degradations.webp", "Webp"),
        ("src.models.attention.pixel", "PixelAttention"),
        ("src.models.attention.second_order", "SecondOrderAttention"),
        ("src.models.attention.layer_channel_spatial", "ChannelSpatialAttention"),
    ],
)
def test_a_moved_component_is_where_its_old_name_leads(old: str, name: str) -> None:
    module, _, component = current_name(f"{old}.{name}").rpartition(".")
    assert component == name
    assert callable(getattr(importlib.import_module(module), name))


def test_targets_are_found_at_any_depth_and_nothing_else_is() -> None:
    old = {"a": [{"_target_": "src.metrics.psnr_b.psnr_b", "b": "src.metrics.psnr_b.psnr_b"}]}
    cfg = OmegaConf.create(old)
    bring_up_to_date(cfg)
    old["a"][0]["_target_"] = "src.metrics.psnr.psnr_b"
    assert cfg == old
