"""Initial weights as a function of seed and parameter name, whatever else the network holds.

A network draws its weights one after another from one stream, so that an attention block in the
middle changes all weights behind it, and a comparison at equal seed compares trunks as well. Here
the drawing of each parameter is noted while the network is built, and repeated afterwards with a
generator of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from src.core.seeding import generator_for


@dataclass(frozen=True)
class _Change:
    """One operation that has changed a tensor, or part of it, in place."""

    operator: Any
    view: tuple[Sequence[int], Sequence[int], int]
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    draws: bool


class _Notes(TorchDispatchMode):
    """Notes what is done in place to each piece of memory while the mode is on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.changes: dict[int, list[_Change]] = {}

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call ``func``; note it if it works in place, forget what new memory held before."""
        keywords = dict(kwargs or {})
        result = func(*args, **keywords)
        schema = func._schema  # noqa: SLF001  torch has no public name for it
        if schema.name.endswith("_") and args and isinstance(args[0], Tensor):
            tensor = args[0]
            takes_generator = any(argument.name == "generator" for argument in schema.arguments)
            draws = takes_generator and keywords.pop("generator", None) is None
            view = (tensor.size(), tensor.stride(), int(tensor.storage_offset()))
            change = _Change(func, view, args[1:], keywords, draws)
            self.changes.setdefault(_memory(tensor), []).append(change)
        elif isinstance(result, Tensor) and not any(isinstance(arg, Tensor) for arg in args):
            self.changes.pop(_memory(result), None)  # memory of a tensor that is gone
        return result


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def build_with_initial_weights(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a network whose initial weights do not depend on the order in which they are drawn.

    Each parameter keeps the distribution that the network has chosen; its values are a function of
    ``seed``, its name and its shape. Parameters that are computed from others, and buffers, stay
    as they were built.

    Args:
        build: Makes the network on the CPU.
        seed: Of the training.
    """
    with _Notes() as notes:
        net = build()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            changes = notes.changes.get(_memory(parameter), [])
            if any(change.draws for change in changes):
                generator = generator_for("cpu", "initial weights", seed, name)
                for change in changes:
                    part = torch.as_strided(parameter, *change.view)
                    drawn = {"generator": generator} if change.draws else {}
                    change.operator(part, *change.arguments, **change.keywords, **drawn)
    return net
