"""Which tensors of a file become those of a network, changed or not, and what is said of it."""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from rich.console import Console
from torch import Tensor, nn

from src.core.errors import CheckpointError
from src.models.attention import ATTENTION
from src.models.blocks.trunk import AttentionSite
from src.weights.checkpoint import Checkpoint, load_weights

STRICT, PARTIAL = "strict", "partial"
_NUMBER = re.compile(r"^trunk\.(\d+)\.")
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Matching:
    """What became of each tensor, by name with its shape."""

    loaded: Shapes  # in both, of one shape
    # Of the network alone, or of another shape there; as at the start of any training, but for
    # attention.
    new: Shapes
    skipped: Shapes  # of the file alone, or of another shape there
    # Loaded for another number of image channels; what was done.
    changed: dict[str, str] = field(default_factory=dict)
    identity: tuple[str, ...] = ()  # attention that is new and begins as the identity
    random: tuple[str, ...] = ()  # attention that is new and cannot

    def report(self, console: Console) -> None:
        """Print three lists, loaded in brief, the others by name; then what was changed."""
        for title in ("loaded", "new", "skipped"):
            tensors: Shapes = getattr(self, title)
            numbers = sum(map(math.prod, tensors.values()))
            console.print(f"Weights     {title}: {len(tensors)} tensors, {numbers:,} numbers")
            for name, shape in tensors.items() if title != "loaded" else ():
                console.print(f"              {name} {'×'.join(map(str, shape)) or 'one number'}")
        for name, change in self.changed.items():
            console.print(f"            {name}: {change}")
        if self.identity:
            console.print(f"Attention   begins as the identity: {', '.join(self.identity)}")
        if self.random:
            named = ", ".join(self.random)
            console.print(f"Attention   changes what the trunk does: {named}; it has no identity")


def begin_from(net: nn.Module, checkpoint: Checkpoint, match: str) -> Matching:
    """Copy weights into ``net``, all of them, or with ``partial`` those that fit.

    With ``partial``, those of one image channel become those of three and the other way, and
    attention that is new begins as the identity where it can.

    Raises:
        CheckpointError: If they do not fit, or with ``partial`` none does.
    """
    own = _shapes(net.state_dict())
    weights = _in_its_order(checkpoint.weights, own)
    changed: dict[str, str] = {}
    if match == PARTIAL:
        for name, tensor in weights.items():
            weights[name], what = _for_channels(tensor, own.get(name, ()), net, checkpoint)
            changed |= {name: what} if what else {}
    given = _shapes(weights)
    loaded = {name: shape for name, shape in own.items() if given.get(name) == shape}
    new = {name: shape for name, shape in own.items() if name not in loaded}
    skipped = {name: shape for name, shape in given.items() if name not in loaded}
    if match == STRICT and (new or skipped):
        try:
            load_weights(net, checkpoint)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}\n  Leave model=… out: the weights bring their own network; or take what "
                "fits: weights_match=partial"
            ) from error
    if not loaded:
        raise CheckpointError(
            f"{checkpoint.path}: none of its {len(given)} tensors has the name and shape of one of "
            f"the network's, e.g. {next(iter(given))} there and {next(iter(own))} here. Choose its "
            "own network: leave model=… out."
        )
    net.load_state_dict({name: weights[name] for name in loaded}, strict=False)
    return Matching(loaded, new, skipped, changed, *begin_as_identity(net, new))


def _in_its_order(weights: Mapping[str, Tensor], own: Shapes) -> dict[str, Tensor]:
    """Return weights by the names of the network, if those are others by their numbers alone.

    Attention without weights, ``model.attention=none``, takes a number of the trunk too.
    """
    ours, theirs = _by_order(own), _by_order(weights)
    if ours.keys() != theirs.keys():
        return dict(weights)
    named = {ours[name]: weights[theirs[name]] for name in ours}
    return named if _shapes(named) == own else dict(weights)


def _by_order(names: Collection[str]) -> dict[str, str]:
    """Return each name, its number in the trunk counted without gaps, → the name."""
    numbers = sorted({int(part[1]) for part in map(_NUMBER.match, names) if part})
    return {
        _NUMBER.sub(lambda part: f"trunk.{numbers.index(int(part[1]))}.", name): name
        for name in names
    }


def _shapes(tensors: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _for_channels(
    tensor: Tensor, shape: tuple[int, ...], net: nn.Module, checkpoint: Checkpoint
) -> tuple[Tensor, str]:
    """Return a tensor with one image channel where it had three, or three for one; and in words.

    A network for one channel then makes of a grey image the mean of what that for three makes of
    it in three equal channels; one for three makes of the latter the same three times.
    """
    words = []
    for side, key in ((1, "in_channels"), (0, "out_channels")):
        if tensor.dim() <= side or len(shape) != tensor.dim():
            continue
        before, after = tensor.shape[side], shape[side]
        if (checkpoint.config.io[key], getattr(net, key, None)) != (before, after):
            continue
        if (before, after) == (3, 1):
            tensor = tensor.sum(side, keepdim=True) / (1 if side else 3)
            words.append(f"{'sum' if side else 'mean'} over the three {key}")
        elif (before, after) == (1, 3):
            tensor = tensor.repeat_interleave(3, side) / (3 if side else 1)
            words.append(f"repeated for three {key}{', a third each' if side else ''}")
    return tensor, ", ".join(words)


def begin_as_identity(
    net: nn.Module, new: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Let attention whose tensors are all new pass features on as they are, until it has learned.

    So the last layer of a block that is inserted begins at zero (Wang et al., 2018,
    arXiv:1711.07971, Sec. 4.1; He et al., 2015). Blocks that only multiply by factors below 1
    cannot; they stay as they are.

    Args:
        net: Its attention blocks and sites have ``identity_if_zero``, the name of that layer.
        new: Names of the tensors of ``net`` that no trained network has given.

    Returns:
        The names of the blocks that begin as the identity, and of those that cannot.
    """
    begun: list[str] = []
    unable: list[str] = []
    kinds: tuple[type[nn.Module], ...] = (
        AttentionSite,
        *(ATTENTION[name].cls for name in ATTENTION),
    )
    for name, module in net.named_modules():
        tensors = [f"{name}.{tensor}" for tensor in module.state_dict()]
        inside = any(name.startswith(f"{outer}.") for outer in (*begun, *unable))
        if inside or not tensors or not isinstance(module, kinds) or not {*new} >= {*tensors}:
            continue
        layer = getattr(module, "identity_if_zero", None)
        (unable if layer is None else begun).append(name)
        for tensor in () if layer is None else _weights(attrgetter(layer)(module)):
            nn.init.zeros_(tensor)
    return tuple(begun), tuple(unable)


def _weights(layer: nn.Module | nn.Parameter) -> Iterator[nn.Parameter]:
    """Yield what multiplies or is added; a PReLU of slope zero would never learn again."""
    if isinstance(layer, nn.Parameter):
        yield layer
        return
    for part in layer.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            yield from part.parameters(recurse=False)
