"""Whole images or tiles: what fits into the memory that is free, and into a person's patience.

What an image needs is traced without computing: the network runs on tensors that have shapes and no
contents (``FakeTensorMode``). Each operator's result is counted as long as something refers to it,
and each operator's own working memory on top.
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from src.core.errors import DataError
from src.core.memory import free_bytes
from src.core.types import RestorationNet
from src.ops.attention.operator_costs import FLOPS, workspace_bytes


@dataclass(frozen=True)
class Footprint:
    """What one forward pass costs."""

    bytes: int  # most memory at once beside weights and input, the result included
    flops: int  # floating-point operations in products and convolutions
    # Those that are done after each function of torch that the network calls.
    after: tuple[int, ...] = ()


def footprint(
    net: nn.Module, shape: Sequence[int], dtype: torch.dtype, device: torch.device
) -> Footprint | None:
    """Return what ``net`` needs for an input of ``shape``, in inference.

    Returns:
        None where it is unknown, because the network's shapes depend on its input's values.
    """
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        weights = {
            name: torch.empty_strided(each.shape, each.stride(), dtype=each.dtype, device=device)
            for name, each in (*net.named_parameters(), *net.named_buffers())
        }
        image = torch.empty(tuple(shape), dtype=dtype, device=device)
        live = _LiveBytes([image, *weights.values()])
        kind = device.type
        # Autocast as it is, but for its cache, which would keep stand-ins for real weights.
        as_it_is = torch.autocast(
            kind, enabled=torch.is_autocast_enabled(kind), cache_enabled=False
        )
        counter = FlopCounterMode(display=False, custom_mapping=dict(FLOPS))
        done: list[int] = []
        calls = Calls(lambda: done.append(int(counter.get_total_flops())))
        try:
            with as_it_is, counter, live, calls:
                # A module under two names would be left with a stand-in if both were tied.
                functional_call(net, weights, image, tie_weights=False)
        except (DataDependentOutputException, DynamicOutputShapeException):
            return None
    return Footprint(live.peak, int(counter.get_total_flops()), tuple(done))


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows how many bytes are referred to, but by tensors of ``before``, while operators run."""

    def __init__(self, before: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known = weakref.WeakSet(tensor.untyped_storage() for tensor in before)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run an operator and count what it has made."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        self.peak = max(self.peak, self.live + workspace_bytes(func, args, result))
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._known:
            self._known.add(storage)
            self.live += storage.nbytes()
            weakref.finalize(storage, self._forget, storage.nbytes())

    def _forget(self, size: int) -> None:
        self.live -= size


class Calls(TorchFunctionMode):
    """Calls ``after`` after each function of torch that a network calls; changes no number."""

    def __init__(self, after: Callable[[], object]) -> None:
        super().__init__()
        self._after = after

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call a function as it is."""
        result = func(*args, **(kwargs or {}))
        self._after()
        return result


SMALL = 128
"""Images no larger, in pixels a side, are taken whole without asking."""

SHARE = 0.75
"""Part of the free memory that an estimate may take: estimates are right within 20 %."""

HOPELESS = 1.25
"""Share of the free memory above which an image that is asked for whole is refused."""

TFLOP_LIMIT = {"cpu": 32.0}
TFLOP_LIMIT_ELSEWHERE = 1000.0
"""Work for one image that ``auto`` takes on itself for attention over the whole of it: minutes on
two CPU cores, minutes on a GPU (docs/decisions/0037-whole-images-where-they-fit.md)."""

GLOBAL_TILES = (96, 64, 48)
LOCAL_TILES = (512, 256, 128, 96, 64, 48)
"""Sides of tiles that ``auto`` tries, for networks with and without attention over all pixels."""


@dataclass(frozen=True)
class Choice:
    """How one image goes through a network."""

    tile: int | None  # side of the tiles in input pixels; None is the whole at once
    # Of one forward pass, on the whole or on a tile; None where it is unknown.
    need: Footprint | None = None
    free: int = 0  # bytes that were free on the device
    why_not_whole: str = ""  # why it is tiles although ``auto`` prefers the whole; empty otherwise

    @property
    def bytes(self) -> int:
        """Return the need in bytes, 0 where it is unknown."""
        return 0 if self.need is None else self.need.bytes

    def __str__(self) -> str:
        words = "whole image" if self.tile is None else f"tiles of {self.tile} pixels"
        if self.need is not None:
            words += f", about {in_gib(self.need.bytes)} of {in_gib(self.free)} free"
        return f"{words} ({self.why_not_whole})" if self.why_not_whole else words


def choose(
    net: nn.Module,
    shape: Sequence[int],
    device: torch.device,
    *,
    tile: int | Literal["auto"] | None,
    overlap: int,
) -> Choice:
    """Return how an image goes through a network, which is traced where that decides.

    Args:
        net: A network that keeps the backbone contract.
        shape: (B, C, H, W) of the image.
        device: Where it will run.
        tile: Side of tiles; None is the whole image; ``auto`` is the whole where it fits, else the
            largest tiles that do.
        overlap: Input pixels that tiles share; they must be larger.

    Raises:
        DataError: If the whole image was asked for, and cannot be in the memory of this machine.
    """
    longest = max(shape[-2:])
    if isinstance(tile, int):
        return Choice(tile if longest > tile else None)
    if longest <= SMALL:
        return Choice(None)
    contract = cast("RestorationNet", net)
    free, need = free_bytes(device), _need(net, shape, device)
    if tile is None and device.type == "cpu" and need is not None and need.bytes > HOPELESS * free:
        # a GPU says so itself; here the system would end the process without a word
        raise DataError(
            f"The whole image, {shape[-1]}×{shape[-2]} pixels, needs about {in_gib(need.bytes)} of "
            f"memory, and {in_gib(free)} are free. Take inference.tile=auto or inference.tile=96, "
            "or inference.window=49, where attention looks at all pixels."
        )
    why_not = "" if tile is None else _objection(contract, need, free, device)
    if not why_not:
        return Choice(None, need, free)
    sides = GLOBAL_TILES if contract.global_context else LOCAL_TILES
    fitting = [side for side in sides if overlap < side < longest]
    side = fitting.pop(0) if fitting else overlap + sides[-1]
    while True:
        rounded = -(-side // contract.multiple_of) * contract.multiple_of
        need = _need(net, (*shape[:2], *(min(rounded, size) for size in shape[2:])), device)
        if need is None or need.bytes <= SHARE * free or not fitting:
            return Choice(side, need, free, why_not)
        side = fitting.pop(0)


def _objection(net: RestorationNet, need: Footprint | None, free: int, device: torch.device) -> str:
    """Return what speaks against the whole image, or nothing."""
    if need is None:
        return "its need cannot be told beforehand" if net.global_context else ""
    if need.bytes > SHARE * free:
        return f"the whole image needs about {in_gib(need.bytes)}"
    limit = TFLOP_LIMIT.get(device.type, TFLOP_LIMIT_ELSEWHERE)
    if net.global_context and need.flops > limit * 1e12:
        return (
            f"the whole image is {need.flops / 1e12:.0f} TFLOP, above the {limit:.0f} that "
            "inference.tile=auto takes on itself; inference.tile=null does it"
        )
    return ""


def _need(net: nn.Module, shape: Sequence[int], device: torch.device) -> Footprint | None:
    return footprint(net, shape, torch.get_default_dtype(), device)


def in_gib(size: int) -> str:
    """Return a number of bytes in words."""
    return f"{size / 2**30:.2f} GiB" if size < 2**33 else f"{size / 2**30:.1f} GiB"
