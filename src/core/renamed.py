"""Where components of earlier versions live now: files made then still name the old places."""

TARGET = "_target_"

MOVED = {
    "src.tasks.": "src.training.tasks.",
    "src.callbacks.": "src.training.callbacks.",
    "src.runtime.loggers.": "src.training.loggers.",
    "src.runtime.distributed.strategy.": "src.training.strategies.",
    "src.training.strategy.": "src.training.strategies.",
    "src.training.callbacks.graceful_stop.": "src.training.callbacks.stopping.",
    "src.training.callbacks.image_panels.": "src.training.callbacks.pictures.",
    "src.training.callbacks.score_tables.": "src.training.callbacks.pictures.",
    "src.training.callbacks.attention_maps.": "src.training.callbacks.pictures.",
    "src.training.callbacks.throughput.": "src.training.callbacks.progress.",
    "src.degradations.bicubic_pillow.": "src.degradations.bicubic.",
    "src.degradations.gaussian_either.": "src.degradations.gaussian.",
    "src.degradations.gaussian_seed0.": "src.degradations.gaussian.",
    "src.degradations.webp.": "src.degradations.jpeg.",
    "src.metrics.psnr_b.": "src.metrics.psnr.",
    "src.metrics.ssim_uniform.": "src.metrics.ssim.",
    "src.optim.multistep.": "src.optim.schedules.",
    "src.optim.warmup_cosine.": "src.optim.schedules.",
    "src.data.prepare.": "src.commands.prepare.",
    "src.data.folders.folder_data": "src.data.datamodule.RestorationData",
    "src.data.datasets.folder.": "src.data.source.",
    "src.training.tasks.denoise.": "src.training.tasks.restoration.",
    "src.training.tasks.dejpeg.": "src.training.tasks.restoration.",
    "src.training.tasks.demosaic.": "src.training.tasks.restoration.",
    "src.training.tasks.super_resolution.": "src.training.tasks.restoration.",
    "src.training.tasks.super_resolution_luma.": "src.training.tasks.restoration.",
    "src.models.attention.pixel.": "src.models.attention.channel.",
    "src.models.attention.second_order.": "src.models.attention.channel.",
    "src.models.attention.layer_channel_spatial.": "src.models.attention.channel.",
    "src.models.backbones.identity.": "src.models.backbones.untrained.",
    "src.models.backbones.bicubic.": "src.models.backbones.untrained.",
}
"""Old beginning of a dotted name → the next one, which may have moved again further down."""


def current_name(dotted: str) -> str:
    """Return the name by which a component that an earlier version called ``dotted`` is found."""
    for old, new in MOVED.items():
        if dotted.startswith(old):
            dotted = new + dotted.removeprefix(old)
    return dotted
