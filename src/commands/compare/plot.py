"""The plot of a comparison: gain against cost; needs the extra ``plot``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.commands.compare.gains import Gain
from src.core.files import replacing

if TYPE_CHECKING:  # an extra, and slow to import
    from matplotlib.artist import Artist

Points = Sequence[tuple[str, float, Gain]]
"""Block, what it costs, what it gains."""
MARKERS = "osD^v<>PX*h"


def write_plot(
    path: Path, panels: Mapping[str, Points], score: str, cost: str, machine: str
) -> None:
    """Write an SVG of a panel each, with intervals; equal points give equal files."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    blocks = list(dict.fromkeys(block for points in panels.values() for block, *_ in points))
    pairs = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]
    colors = [*pairs[::2], *pairs[1::2]]  # ten that are dark, then ten that are light
    settings = {"svg.fonttype": "none", "svg.hashsalt": "exemplar", "text.parse_math": False}
    with mpl.rc_context(settings):  # type: ignore[arg-type]
        figure = Figure(figsize=(12, 4.2 * ((len(panels) + 1) // 2)), layout="constrained")
        places = [*figure.subplots((len(panels) + 1) // 2, 2, squeeze=False).flat]
        for panel, (title, points) in zip(places, panels.items(), strict=False):
            panel.set_title(title, fontsize=10, loc="left")
            panel.axhline(0, color="#888888", lw=1)
            for block, spent, one in points:
                number = blocks.index(block)
                whisker = [[one.mean - one.low], [one.high - one.mean]]
                look = {"color": colors[number % 20], "marker": MARKERS[number % len(MARKERS)]}
                panel.errorbar(spent, one.mean, whisker, label=block, **look)
            panel.set(xlabel=cost, ylabel=f"gain, {score}")
            panel.grid(visible=True, color="#dddddd")
        for panel in places[len(panels) :]:
            panel.set_axis_off()
        figure.supxlabel(machine, fontsize=10)
        named: dict[str, Artist] = {}
        for panel in places:
            lines, names = panel.get_legend_handles_labels()
            named.update(zip(names, lines, strict=True))
        figure.legend(list(named.values()), list(named), loc="outside right upper", frameon=False)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
