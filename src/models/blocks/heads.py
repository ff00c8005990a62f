"""How many heads an attention of any width has."""


def heads_for(channels: int, head_channels: int) -> int:
    """Return the divisor of ``channels`` nearest to ``channels / head_channels``, smaller first.

    Papers state the heads of each width that they use; where these have equal widths, as SwinIR's
    30 and Restormer's 48 channels, one number gives them all, and some number for any width.

    Raises:
        ValueError: If a number is below 1.
    """
    if channels < 1 or head_channels < 1:
        raise ValueError(f"channels={channels}, head_channels={head_channels}: both must be >= 1.")
    divisors = [heads for heads in range(1, channels + 1) if channels % heads == 0]
    return min(divisors, key=lambda heads: abs(heads - channels / head_channels))
