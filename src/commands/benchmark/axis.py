"""Places on a logarithmic axis of a plot, the numbers written beside it, and names kept apart."""

import math
from collections.abc import Mapping, Sequence


class Axis:
    """Maps positive numbers to places on a logarithmic axis, with a little room at both ends.

    Args:
        numbers: What must lie on it; at least one.
        start: Place of the lower end.
        end: Place of the upper end.
    """

    def __init__(self, numbers: Sequence[float], start: float, end: float) -> None:
        low, high = math.log(min(numbers)), math.log(max(numbers))
        room = 0.06 * (high - low) or 0.5
        self.low, self.high = low - room, high + room
        self.start, self.end = start, end

    def __call__(self, number: float) -> float:
        """Return where ``number`` lies."""
        share = (math.log(number) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round numbers on the axis: 1, 2 and 5 a decade, or 1 where there are many."""
        decades = range(math.floor(self.low / math.log(10)), math.ceil(self.high / math.log(10)))
        steps = (1, 2, 5) if len(decades) <= 4 else (1,)
        found = [step * 10.0**decade for decade in decades for step in steps]
        return [number for number in found if self.low <= math.log(number) <= self.high]


def apart(places: Mapping[str, float], least: float) -> dict[str, float]:
    """Return the places of names, moved so that neighbours are ``least`` apart at least."""
    moved: dict[str, float] = {}
    last = -math.inf
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        last = max(place, last + least)
        moved[name] = last
    return moved
