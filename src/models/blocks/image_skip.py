"""The condition under which a network may add its input to its output."""


def check_image_skip(name: str, in_channels: int, out_channels: int) -> None:
    """Raise ValueError unless the image channels are equal."""
    if in_channels != out_channels:
        raise ValueError(
            f"{name} adds its input to its output, so {in_channels} image channels cannot become "
            f"{out_channels}; give it an input of {out_channels} channels, or choose another model."
        )
