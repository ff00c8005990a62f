"""Catalog: every option of every group of conf/, networks and attention blocks with their size."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from src.app.config.options import all_groups, options_of, register_resolvers
from src.app.config.typed import check_folders, folders_of, with_config_dir
from src.app.config.validate import parameters_of
from src.core.console import FoldingTable, make_console
from src.core.errors import ConfigError, did_you_mean
from src.core.paths import CONF_DIR
from src.core.registry import locate

if TYPE_CHECKING:
    from torch import nn

ATTENTION_CHANNELS = 64
"""Feature channels for which the size of an attention block is given."""

FIRST = ("task", "model", "model/attention", "degradation", "data", "loss", "protocol", "metrics")
"""The order of the tables; other groups follow."""


def catalog(words: Sequence[str]) -> int:
    """Print one table a kind that ``words`` name, in singular or plural; return the exit status.

    ``--config-dir=<folder>`` adds the options of a folder like conf/.
    """
    reader = argparse.ArgumentParser(add_help=False)
    reader.add_argument("--config-dir", "-cd")
    reader.add_argument("-h", "--help", action="store_true")
    reader.add_argument("kinds", nargs="*")
    given = reader.parse_intermixed_args(words)
    out = make_console()
    if given.help:
        out.print("python -m src.catalog [kind …] [--config-dir=FOLDER]\n\nKinds:")
        out.print(fill(", ".join(known_kinds()), 78, initial_indent="  ", subsequent_indent="  "))
        return 0
    try:
        search_path = with_config_dir([], given.config_dir)
        check_folders(search_path)
        groups = [kind_called(name) for name in given.kinds]
        for group in groups or known_kinds().values():
            out.print(table_of(group, search_path))
            out.print()
    except ConfigError as error:
        make_console(stderr=True).print(f"error: {error}")
        return 2
    return 0


def known_kinds() -> dict[str, str]:
    """Return the name by which a kind may be asked for, and its config group."""
    groups = [*FIRST, *(group for group in all_groups() if group not in FIRST)]
    return {group.rpartition("/")[2]: group for group in groups if options_of(group)}


def kind_called(name: str) -> str:
    """Return the config group called ``name``, e.g. ``models`` or ``model``.

    Raises:
        ConfigError: If there is none, with the nearest names.
    """
    kinds = known_kinds()
    for spelled in (name, name.removesuffix("s"), name.removesuffix("es")):
        if spelled in kinds:
            return kinds[spelled]
        if spelled in kinds.values():
            return spelled
    raise ConfigError(f"The catalogue has no {name!r}. {did_you_mean(name, kinds)}")


def table_of(group: str, search_path: Sequence[str] = ()) -> FoldingTable:
    """Return the options of ``group``; networks and attention blocks with paper, cost and size.

    ``search_path`` is the word ``hydra.searchpath=…`` for options beside those of conf/.
    """
    names = {
        name: folder / group / f"{name}.yaml"
        for folder in (*map(Path, folders_of(search_path)), CONF_DIR)
        for name in options_of(group, folder)
    }
    names = dict(sorted(names.items()))
    if group in {"model", "model/attention"}:
        sizes = sizes_of(group, list(names), search_path)
        texts = ["cost", "paper", "what"]
        table = FoldingTable(["name"], ["parameters"], texts, title=f"{group}=…")
    else:
        sizes = {}
        table = FoldingTable(["name"], texts=["what"], title=f"{group}=…")
    for name, file in names.items():
        table.add_row(name, *sizes.get(name, ()), first_sentences(file))
    return table


def first_sentences(file: Path) -> str:
    """Return the first paragraph of the comment at the top of an option's file, on one line."""
    paragraph: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#").strip()
        if text.startswith("@package") or not (text or paragraph):
            continue
        if not line.startswith("#") or not text:
            break
        paragraph.append(text)
    return " ".join(paragraph)


def sizes_of(
    group: str, names: Sequence[str], search_path: Sequence[str] = ()
) -> dict[str, tuple[str, str, str]]:
    """Return parameters, cost and paper of each option of ``model`` or ``model/attention``.

    Networks are built for three image channels and blocks for ``ATTENTION_CHANNELS`` features, on
    the "meta" device: nothing is allocated.
    """
    import torch

    from src.models.attention import ATTENTION
    from src.models.backbones import BACKBONES

    register_resolvers(claim=False)
    registry = BACKBONES if group == "model" else ATTENTION
    sizes = {}
    with (
        initialize_config_dir(str(CONF_DIR), version_base="1.3", job_name="catalog"),
        torch.device("meta"),
    ):
        for name in names:
            target, net = _smallest(group, name, search_path)
            count = sum(weights.numel() for weights in net.parameters())
            component = registry.name_of(target)
            paper, cost = "", ""
            if component in registry:
                paper, cost = registry[component].paper, registry[component].cost
            scale = getattr(net, "scale", 1) if group == "model" else 1
            sizes[name] = (f"{count:,}" + (f" at ×{scale}" if scale > 1 else ""), cost, paper)
    return sizes


def _smallest(group: str, name: str, search_path: Sequence[str]) -> "tuple[str, nn.Module]":
    """Return the target of an option and what it builds, at a published or else an accepted scale.

    The published one is what its class has as default.
    """
    failed: Exception | None = None
    io = [*search_path, f"{group}={name}", "io.in_channels=3", "io.out_channels=3"]
    for scale in (*_published_scale(group, io), 1, 2, 3):
        config = compose("train", overrides=[*io, f"io.scale={scale}"]).model
        node = config if group == "model" else config.attention
        try:
            built = instantiate(node, _convert_="all")
        except InstantiationException as error:
            failed = error
            continue
        return str(node._target_), built if group == "model" else built(ATTENTION_CHANNELS)
    raise ConfigError(f"{group}={name} cannot be built: {failed}") from failed


def _published_scale(group: str, words: Sequence[str]) -> list[int]:
    if group != "model":
        return []
    target = locate(str(compose("train", overrides=[*words, "io.scale=1"]).model._target_))
    parameter = parameters_of(target).get("scale")
    return [] if parameter is None else [parameter.default]
