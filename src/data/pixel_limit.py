"""How large an image may be: files of a few kilobytes can unpack to gigabytes."""

import os

from PIL import Image

from src.core.errors import ConfigError

VARIABLE = "EXEMPLAR_MAX_PIXELS"
"""Environment variable with the limit; of the environment, so that loader processes have it too."""

DEFAULT = 178_956_970
"""Pixels: half a gigabyte as RGB, which is also Pillow's own limit."""


def apply_pixel_limit() -> int | None:
    """Make Pillow refuse images of more pixels than ``EXEMPLAR_MAX_PIXELS``; return that limit.

    0 lifts the limit, and None is returned. Pillow counts for itself when it opens a file, before
    it decodes; it refuses what is above twice its ``MAX_IMAGE_PIXELS``, and remarks on what is
    above it once.

    Raises:
        ConfigError: If the variable holds no number of pixels.
    """
    text = os.environ.get(VARIABLE, str(DEFAULT))
    if not text.isdecimal():
        raise ConfigError(
            f"{VARIABLE}={text} must be a whole number of pixels, e.g. {DEFAULT}; 0 for no limit."
        )
    limit = int(text) or None
    Image.MAX_IMAGE_PIXELS = None if limit is None else max(1, limit // 2)
    return limit
