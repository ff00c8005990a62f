"""The zoo's networks beside public ones: size, training, quality, time and memory, in one run.

    python -m tools.zoo_networks <folder of public weights> [--sets=<folder of image sets>]

``experiments/zoo/networks/rows.yaml`` says which networks and which records have their scores; with
``--sets`` those that are missing are measured first. All networks are timed in turn, A B C A B C …,
on the same picture. Writes measured.json, table.md and quality_against_time.svg beside the rows.
"""

import argparse
import json
import re
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from src.app.inference import give_back_large_blocks
from src.app.measure import time_in_turn, weigh
from src.app.processes.process import prepare_process
from src.core.errors import MismatchError
from src.core.files import sha256, write_json
from src.core.origin import hardware, origin
from src.core.paths import ROOT
from src.core.seeding import generator_for
from src.inference.policy import InferencePolicy
from src.inference.restorer import Restorer, takes_noise_level, with_noise_level
from src.ops.resize import upscale
from src.weights.checkpoint import network_of, open_checkpoint, weights_hash
from src.weights.conversion import convert_file
from src.weights.zoo import ZOO
from tools import published_networks

EXPERIMENTS = ROOT / "experiments"
HERE = EXPERIMENTS / "zoo/networks"
TRAINED = re.compile(r"\*\*Trained for\*\*.*?\n\n", re.DOTALL)  # the paragraph of a card
PART = re.compile(r"(?P<minutes>[\d.]+)\s+minutes\s+on\s+(?:an\s+)?(?P<machine>[^.,(]+)")
PUBLIC = yaml.safe_load((published_networks.HERE / "networks.yaml").read_text("utf-8"))["networks"]

Group = Mapping[str, Any]
Row = dict[str, Any]


def groups() -> list[Group]:
    """Return the tasks of rows.yaml."""
    read: list[Group] = yaml.safe_load((HERE / "rows.yaml").read_text(encoding="utf-8"))
    return read


def measure_missing(weights: Path, sets: Path) -> None:
    """Evaluate public networks for which a record is missing."""
    for group in groups():
        for network, records in group["networks"].items():
            for record, word in zip(records, group["columns"].values(), strict=True):
                if network in PUBLIC and not (EXPERIMENTS / record).is_file():
                    words = [*group["words"], *([word] if word else [])]
                    row = {"network": network, "set": group["set"], "words": words}
                    measured = published_networks.measure(row | PUBLIC[network], weights, sets)
                    (EXPERIMENTS / record).parent.mkdir(parents=True, exist_ok=True)
                    write_json(EXPERIMENTS / record, measured)


def scored(group: Group, network: str, identity: str) -> dict[str, dict[str, Any]]:
    """Return column → PSNR, protocol and record of a network.

    Raises:
        MismatchError: If a record is of other weights than ``identity``.
    """
    found = {}
    for column, name in zip(group["columns"], group["networks"][network], strict=True):
        record = json.loads((EXPERIMENTS / name).read_text(encoding="utf-8"))
        of = record.get("weights_sha256") or record["source"]["sha256"]
        if of != identity:
            raise MismatchError(
                f"{name} has the scores of other weights than those of {network}: evaluate again."
            )
        mean = record["benchmarks"][group["set"]]["mean"] if "benchmarks" in record else None
        protocol = f"{record['protocol']['name']} v{record['protocol']['version']}"
        found[column] = {
            "psnr": (mean or record["mean"])["psnr"],
            "protocol": protocol,
            "record": name,
        }
    return found


def trained(network: str) -> list[dict[str, Any]] | None:
    """Return minutes and machine of each part of a training, by the card; None of public ones."""
    if not network.startswith(ZOO):
        return None
    card = EXPERIMENTS / "zoo" / network.removeprefix(ZOO) / "card.md"
    paragraph = TRAINED.search(card.read_text(encoding="utf-8"))
    parts = list(PART.finditer(paragraph[0])) if paragraph else []
    if not parts:
        raise MismatchError(
            f"{card} does not say how long the network was trained: add a line such as "
            '"**Trained for** 7.8 minutes on an NVIDIA H200."'
        )
    return [
        {"minutes": float(part["minutes"]), "machine": " ".join(part["machine"].split())}
        for part in parts
    ]


def opened(network: str, weights: Path) -> tuple[nn.Module, str]:
    """Return a network and the hash that its records name."""
    if network.startswith(ZOO):
        checkpoint = open_checkpoint(network)
        return network_of(checkpoint), weights_hash(checkpoint.weights)
    about = PUBLIC[network]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{network}.safetensors"
        convert_file(weights / about["file"], about["architecture"], about.get("scale"), file)
        return network_of(open_checkpoint(file)), sha256(weights / about["file"])


def call_of(net: nn.Module, scale: int, side: int) -> Callable[[], Tensor]:
    """Return what is timed: a picture of ``side`` pixels after restoration, whole, in memory."""
    restorer = Restorer(net, InferencePolicy(tile=None))
    contract = restorer.net
    channels = contract.in_channels - int(takes_noise_level(contract))
    low = torch.rand(
        1, channels, side // scale, side // scale, generator=generator_for("cpu", "zoo networks")
    )

    def call() -> Tensor:
        first = scale // contract.scale  # VDSR takes images that are enlarged already
        image = upscale(low, first) if first > 1 else low
        if takes_noise_level(contract):
            image = with_noise_level(image, 25 / 255)
        return restorer(image)

    return call


def measured(weights: Path, side: int, rounds: int) -> list[Row]:
    """Return the rows of all networks."""
    rows, calls = [], {}
    for group in groups():
        for network in group["networks"]:
            net, identity = opened(network, weights)
            rows.append(
                {
                    "task": group["task"],
                    "network": network,
                    "weights_sha256": identity,
                    "parameters": sum(part.numel() for part in net.parameters()),
                    "trained": trained(network),
                    "scores": scored(group, network, identity),
                }
            )
            calls[f"{group['task']} {network}"] = call_of(net, group.get("scale", 1), side)
    device = torch.device("cpu")
    peaks = weigh(calls, device)
    seconds = time_in_turn(calls, runs=rounds, warmup=1, device=device)
    for row in rows:
        name = f"{row['task']} {row['network']}"
        row["peak_bytes"], row["seconds"] = peaks[name].peak_bytes, list(seconds[name])
        row["seconds_per_megapixel"] = statistics.median(seconds[name]) / (side**2 / 1e6)
    return rows


def table(about: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of table.md."""
    machine = about["hardware"]
    yield "# The zoo's networks beside public ones"
    yield ""
    yield (
        f"Generated by `python -m tools.zoo_networks <public weights>` on {machine['processor']}, "
        f"{about['threads']} threads, torch {machine['torch']}, {about['date'][:10]}: float32, one "
        f"picture of {about['side']}² pixels after restoration, medians of {about['rounds']} runs "
        "of each network in turn. Memory is the peak beside weights and input. PSNR in dB comes "
        "from the records that [measured.json](measured.json) names. A network of one channel "
        "(FSRCNN, VDSR) restores luma alone."
    )
    rows: list[Row] = about["networks"]
    for task in dict.fromkeys(row["task"] for row in rows):
        mine = [row for row in rows if row["task"] == task]
        columns, images = list(mine[0]["scores"]), next(g for g in groups() if g["task"] == task)
        yield ""
        yield f"## {task}, {images['set']}"
        yield ""
        names = ["network", "parameters", "trained", *(f"PSNR {column}" for column in columns)]
        yield f"| {' | '.join([*names, 's / megapixel', 'peak MiB', 'protocol'])} |"
        yield f"|---|{'---:|' * (len(columns) + 4)}---|"
        for row in mine:
            parts = [f"{part['minutes']:g} min, {part['machine']}" for part in row["trained"] or ()]
            cells = [row["network"], f"{row['parameters']:,}"]
            cells += ["; ".join(parts) or "not by us"]
            cells += [f"{row['scores'][column]['psnr']:.2f}" for column in columns]
            cells += [f"{row['seconds_per_megapixel']:.2f}", f"{row['peak_bytes'] / 2**20:.0f}"]
            protocols = dict.fromkeys(one["protocol"] for one in row["scores"].values())
            yield f"| {' | '.join([*cells, ', '.join(protocols)])} |"


def draw(rows: list[Row], path: Path) -> None:
    """Draw quality against time, a panel a task, of the middle column of its scores."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    for panel, task in zip(figure.subplots(2, 3).flat, tasks, strict=True):
        mine = [row for row in rows if row["task"] == task]
        columns = list(mine[0]["scores"])
        column = columns[(len(columns) - 1) // 2]
        for row in mine:
            ours = row["network"].startswith(ZOO)
            at = (row["seconds_per_megapixel"], row["scores"][column]["psnr"])
            panel.plot(*at, "o", color="#0072b2" if ours else "#d55e00", ms=8 if ours else 6)
            panel.annotate(row["network"], at, (0, 7), textcoords="offset points", ha="center")
        panel.set(xscale="log", title=f"{task}, {column}", xlabel="seconds per megapixel")
        panel.set_ylabel("PSNR in dB")
        panel.margins(0.35)
        panel.grid(visible=True, which="both", color="#dddddd")
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "exemplar"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Measure what the command line says, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="folder of public weights")
    parser.add_argument("--sets", type=Path, help="folder of image sets, for missing scores")
    parser.add_argument("--side", type=int, default=480, help="of the restored picture")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE)
    given = parser.parse_args()
    if given.sets is not None:
        measure_missing(given.weights.absolute(), given.sets.absolute())
    prepare_process()  # memory as the commands that restore have it, for all networks alike
    give_back_large_blocks()
    torch.set_num_threads(given.threads)
    rows = measured(given.weights, given.side, given.rounds)
    about = {
        "schema": 1,
        **origin(),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "hardware": hardware(),
        **{key: getattr(given, key) for key in ("threads", "side", "rounds")},
        "networks": rows,
    }
    given.output.mkdir(parents=True, exist_ok=True)
    write_json(given.output / "measured.json", about)
    (given.output / "table.md").write_text("\n".join(table(about)) + "\n", encoding="utf-8")
    draw(rows, given.output / "quality_against_time.svg")


if __name__ == "__main__":
    main()
