"""List what there is to choose from: `python -m src.catalog`, or one kind: `… catalog models`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table

from src.app.config.options import all_groups, first_comment, options_of
from src.core.errors import ConfigError, did_you_mean
from src.core.paths import CONF_DIR

if TYPE_CHECKING:
    from torch import nn

ATTENTION_CHANNELS = 64
"""Feature channels for which the size of an attention block is given."""

FIRST = ("task", "model", "model/attention", "degradation", "data", "loss", "protocol", "metrics")
"""The order of the tables; other groups follow."""


def main() -> None:
    """Print one table a kind; arguments choose kinds, in singular or plural."""
    try:
        kinds = [kind_called(name) for name in sys.argv[1:] if name not in {"-h", "--help"}]
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if len(kinds) < len(sys.argv) - 1:
        print(f"python -m src.catalog [{' | '.join(known_kinds())}]")
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    for group in kinds or list(known_kinds().values()):
        console.print(table_of(group))


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


def table_of(group: str) -> Table:
    """Return the options of ``group``; networks and attention blocks with paper, cost and size."""
    sized = group in {"model", "model/attention"}
    names = options_of(group)
    table = Table(title=f"{group}=…", title_justify="left", title_style="bold")
    table.add_column("name", no_wrap=True)
    if sized:
        table.add_column("parameters", justify="right", no_wrap=True)
        table.add_column("cost", no_wrap=True)
        table.add_column("paper")
    table.add_column("what")
    sizes = sizes_of(group, names) if sized else {}
    for name in names:
        table.add_row(name, *sizes.get(name, ()), first_comment(CONF_DIR / group / f"{name}.yaml"))
    return table


def sizes_of(group: str, names: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Return parameters, cost and paper of each option of ``model`` or ``model/attention``.

    Networks are built for three image channels and blocks for ``ATTENTION_CHANNELS`` features, on
    the "meta" device: nothing is allocated.
    """
    import torch

    from src.models.attention import ATTENTION
    from src.models.backbones import BACKBONES

    registry = BACKBONES if group == "model" else ATTENTION
    sizes = {}
    with (
        initialize_config_dir(str(CONF_DIR), version_base="1.3", job_name="catalog"),
        torch.device("meta"),
    ):
        for name in names:
            target, net = _smallest(group, name)
            count = sum(weights.numel() for weights in net.parameters())
            module = target.split(".")[-2]
            paper, cost = "", ""
            if module in registry:
                paper, cost = registry[module].paper, registry[module].cost
            sizes[name] = (f"{count:,}", cost, paper)
    return sizes


def _smallest(group: str, name: str) -> "tuple[str, nn.Module]":
    """Return the target of an option and what it builds, at the first scale that it accepts."""
    for scale in (1, 2, 3):
        io = [f"io.{key}=3" for key in ("in_channels", "out_channels")]
        config = compose("train", overrides=[f"{group}={name}", *io, f"io.scale={scale}"]).model
        node = config if group == "model" else config.attention
        try:
            built = instantiate(node, _convert_="all")
        except InstantiationException:
            if scale == 3:
                raise
            continue
        return str(node._target_), built if group == "model" else built(ATTENTION_CHANNELS)
    raise AssertionError  # the last scale returns or raises


if __name__ == "__main__":
    main()
