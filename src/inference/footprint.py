"""What a network needs for an image of a given size, by tracing without computing.

The network runs on tensors that have shapes and no contents (``FakeTensorMode``). Each operator's
result is counted as long as something refers to it, and each operator's own working memory on top.
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from src.ops.attention.operator_costs import FLOPS, workspace_bytes


@dataclass(frozen=True)
class Footprint:
    """What one forward pass costs.

    Attributes:
        bytes: Most memory at once beside weights and input, the result included.
        flops: Floating-point operations in products and convolutions.
    """

    bytes: int
    flops: int


def footprint(
    net: nn.Module, shape: Sequence[int], dtype: torch.dtype, device: torch.device
) -> Footprint | None:
    """Return what ``net`` needs for an input of ``shape``, in inference.

    Returns:
        None where it is unknown, because the network's shapes depend on its input's values.
    """
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as fake:
        # The mode remembers these stand-ins and takes them where the network has its weights.
        weights = [fake.from_tensor(weight) for weight in (*net.parameters(), *net.buffers())]
        image = torch.empty(tuple(shape), dtype=dtype, device=device)
        live = _LiveBytes([image, *weights])
        kind = device.type
        # Autocast as it is, but for its cache, which would keep stand-ins for real weights.
        as_it_is = torch.autocast(
            kind, enabled=torch.is_autocast_enabled(kind), cache_enabled=False
        )
        counter = FlopCounterMode(display=False, custom_mapping=dict(FLOPS))
        try:
            with as_it_is, counter, live:
                net(image)
        except (DataDependentOutputException, DynamicOutputShapeException):
            return None
    return Footprint(live.peak, int(counter.get_total_flops()))


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows how many bytes are referred to while operators run.

    Args:
        before: Tensors that were there before, which do not count.
    """

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
