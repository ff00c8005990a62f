"""Where the attention of a comparison's trained cells looks, and what it is worth when restoring.

    python -m tools.attention_why <comparison> [--windows 9 15 25 49] [--cells '0-*'] [--quick]

Of each cell that still has its weights: how spread the weights of a query are (the geometric mean
of effective keys, the share of other scales, the share of keys within 4 pixels), at points on a
grid over every image that the comparison scores; and PSNR as trained, within search windows, and
with uniform weights, which all keys of an image get whatever they show; --quick looks at windows
alone. Writes why.md and why.json there, which keep what was measured before: weights may be gone.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn

from src.app.build import build_task
from src.app.config.resume import check_overrides
from src.app.results import read_results
from src.app.sweeps.cell_files import CELL, CELLS
from src.app.sweeps.comparison import read_comparison
from src.commands.compare.cell import NETWORK, configs_of
from src.core.files import write_json
from src.core.origin import hardware, origin
from src.core.types import Clean, Pair
from src.data.image_io import read_image, to_tensor
from src.data.source import ImageFolder
from src.inference.attention_maps import maps_of, shown_blocks
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer, fitted
from src.models.attention.cross_scale_cosine import Temperature
from src.models.attention.gated import GatedAttention
from src.ops.attention.one_query import Spread, mean_spread
from src.training.tasks.base import RestorationTask
from src.weights.checkpoint import load_weights, open_checkpoint
from tools.measured import table

NEAR = 4.0
"""Pixels of the input up to which a key is a neighbour of the query."""


def trained(words: list[str], network: Path) -> RestorationTask:
    """Return the task of a cell with its trained network.

    Raises:
        UntrustedError: If the words, which come with a comparison, say more than settings.
    """
    settings = [word for word in words if "resume=" not in word]
    check_overrides(network.with_name(CELL), settings)
    task = build_task(*configs_of([settings]))
    load_weights(task.net, open_checkpoint(network))
    return task.eval()


def pairs_of(task: RestorationTask, folder: Path) -> list[Pair]:
    """Return the images of a set as the cell's evaluation has degraded them."""
    files = ImageFolder(folder).files()
    images = [(key, to_tensor(read_image(file, channels=3))[None]) for key, file in files.items()]
    return [task.degrade(Clean(target=image, key=[name])) for name, image in images]


@torch.no_grad()
def psnr(task: RestorationTask, pairs: list[Pair], window: int | None = None) -> float:
    """Return the mean PSNR of whole images."""
    restorer = Restorer(task.net, InferencePolicy(tile=None, window=window))
    return statistics.mean(
        task.evaluator(restorer(task.net_input(pair)), pair["target"])[0]["psnr"] for pair in pairs
    )


def uniform(net: nn.Module) -> ExitStack:
    """Let every key weigh the same, while the context lasts: queries are zero."""
    stack = ExitStack()
    for block in shown_blocks(net).values():
        query = block.get_submodule("query")
        handle = query.register_forward_hook(lambda _module, _inputs, output: output * 0)
        stack.callback(handle.remove)
    return stack


def spreads(task: RestorationTask, pairs: list[Pair], points: int) -> tuple[Spread, float]:
    """Return the mean over points and images, and the share of scales that are not the query's."""
    found, others = [], []
    for pair in pairs:
        seen: Tensor = fitted(Restorer(task.net, InferencePolicy()).net, task.net_input(pair))
        height, width = seen.shape[-2:]
        grid = [
            (height * (2 * row + 1) // (2 * points), width * (2 * column + 1) // (2 * points))
            for row in range(points)
            for column in range(points)
        ]
        for maps in maps_of(task.net, seen, grid).values():
            for one in maps:
                spread = one.spread(NEAR)
                found.append(spread)
                own = [level.shape == one.size for level in one.levels]
                masses = zip(spread.levels, own, strict=True)
                others.append(sum(mass for mass, is_own in masses if not is_own))
    return mean_spread(found), statistics.mean(others)


def row_of(
    cell: Mapping[str, Any], folder: Path, images: Path, given: argparse.Namespace
) -> dict[str, Any]:
    """Return what is said of a cell on one set of images."""
    task = trained(cell["words"], folder / NETWORK)
    pairs = pairs_of(task, images)
    exact = float(read_results(folder)["benchmarks"][images.name]["mean"]["psnr"])
    row = {**cell["levels"], "set": images.name, "PSNR": round(exact, 3)}
    gates = [block.gate for block in task.net.modules() if isinstance(block, GatedAttention)]
    if gates:
        row["gate"] = round(statistics.mean(float(gate.detach()) for gate in gates), 4)
    learned = [block for block in task.net.modules() if isinstance(block, Temperature)]
    if learned:
        row["factor"] = round(statistics.mean(float(one.logarithm.exp()) for one in learned), 3)
    for window in given.windows:
        row[f"window {window}"] = round(psnr(task, pairs, window) - exact, 3)
    return row if given.quick else {**row, **_of_weights(task, pairs, exact, given.points)}


def _of_weights(
    task: RestorationTask, pairs: list[Pair], exact: float, points: int
) -> dict[str, float]:
    """Return how spread the weights are, and what is lost without them."""
    seen, others = spreads(task, pairs, points)
    with uniform(task.net):
        alike = psnr(task, pairs)
    return {
        "effective keys": round(seen.effective_keys),
        "of": round(seen.keys),
        "other scales": round(others, 3),
        f"within {NEAR:g} px": round(seen.near, 3),
        "uniform": round(alike - exact, 3),
    }


def main() -> None:
    """Look at what the command line says, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("comparison", type=Path)
    parser.add_argument("--windows", nargs="*", type=int, default=[9, 15, 25, 49])
    parser.add_argument("--cells", default="*", help="pattern of names, as 1-small-*-cross_scale")
    parser.add_argument("--quick", action="store_true", help="windows alone")
    parser.add_argument("--points", type=int, default=5, help="along each axis of an image")
    given = parser.parse_args()
    comparison = read_comparison(given.comparison.resolve())
    sets = [word.partition("=")[2] for word in comparison.fixed if word.startswith("sets=")]
    images = [Path(name) for name in sets[0].strip("[]").split(",")]
    cells = json.loads((comparison.folder / CELLS / f"{CELLS}.json").read_text("utf-8"))
    rows = measured(comparison.folder)
    text = ""
    for cell in track(cells):
        network = comparison.folder / CELLS / cell["folder"] / NETWORK
        is_meant = fnmatchcase("-".join(cell["levels"].values()), given.cells)
        if is_meant and network.is_file() and shown_blocks(trained(cell["words"], network)):
            for name in images:
                rows = with_row(rows, row_of(cell, network.parent, name, given))
                text = write(comparison.folder, rows)  # minutes each: what is there is kept
    if not text:
        sys.exit(f"No cell of {comparison.folder} has weights and attention with maps.")
    sys.stdout.write(text)


def measured(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of earlier starts."""
    file = folder / "why.json"
    try:
        rows = json.loads(file.read_text("utf-8"))["rows"] if file.is_file() else []
        return [row for row in rows if row["set"]]
    except (ValueError, LookupError, TypeError) as error:
        sys.exit(f"{file} is damaged ({error}); remove it, and it is written anew.")


def with_row(rows: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return ``rows`` and one more, joined with an earlier one of its cell and set."""
    about = list(row)[: list(row).index("set") + 1]
    others, same = [], row
    for one in rows:
        if any(one.get(key) != row[key] for key in about):
            others.append(one)
        else:
            same = {**one, **row}
    return sorted([*others, same], key=lambda one: [str(one.get(key)) for key in about[::-1]])


def write(folder: Path, rows: list[dict[str, Any]]) -> str:
    """Write what has been measured so far, and return it as a table."""
    write_json(folder / "why.json", {**origin(), "hardware": hardware(), "rows": rows})
    columns = dict.fromkeys(key for row in rows for key in row)
    text = table([{key: row.get(key, "") for key in columns} for row in rows])
    (folder / "why.md").write_text(text, encoding="utf-8")
    return text


if __name__ == "__main__":
    main()
