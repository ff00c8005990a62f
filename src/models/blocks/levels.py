"""Numbers of blocks for each level of a U-shaped network."""

from collections.abc import Sequence


def per_level(blocks: Sequence[int] | int, levels: int) -> list[int]:
    """Return one number a level; a single number is for all.

    Raises:
        ValueError: If there are not ``levels`` numbers, or one is negative.
    """
    numbers = [blocks] * levels if isinstance(blocks, int) else list(blocks)
    if len(numbers) != levels or min(numbers, default=0) < 0:
        raise ValueError(
            f"blocks={numbers}: {levels} levels need {levels} numbers of blocks, each >= 0, or "
            "one number for all."
        )
    return numbers
