"""CPU seconds of one thread of windowed pyramid attention: PyTorch's form and the kernel in turn.

    python -m tools.local_attention [--side 128] [--runs 5] [--forms chunked native]
                                    [--passes forward training]

They mean something on a machine that others use, too, but are up to a third longer there.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor

from src.core.console import make_console
from src.models.attention.pyramid_local import LocalPyramidAttention

CHANNELS = 64
FORMS, PASSES = ("chunked", "native"), ("forward", "training")


def main() -> None:
    """Print a line for each pass and form."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=128, help="of the features, in pixels")
    parser.add_argument("--runs", type=int, default=5, help="of which the median is told")
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS)
    parser.add_argument("--passes", nargs="+", default=PASSES, choices=PASSES)
    given = parser.parse_args()
    if min(given.side, given.runs) < 1:
        parser.error("--side and --runs are 1 at least")
    side, forms = given.side, given.forms
    console = make_console()
    console.print(f"CPU seconds of one thread; {CHANNELS} channels, 5 levels, window of 49 pixels")
    block = LocalPyramidAttention(CHANNELS).eval()
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, CHANNELS, side, side, generator=generator)
    for name in given.passes:
        taken: dict[str, list[float]] = {form: [] for form in forms}
        _seconds(block, features[..., :16, :16], training=name == "training")  # builds the kernel
        for _ in range(given.runs):
            for form in forms:
                block.implementation = form  # type: ignore[assignment]
                taken[form].append(_seconds(block, features, training=name == "training"))
        medians = {form: statistics.median(times) for form, times in taken.items()}
        for form, median in medians.items():
            ratio = medians[forms[0]] / median
            console.print(
                f"{side}² {name:8} {form:8} {median:7.3f} s ({min(taken[form]):.3f} to "
                f"{max(taken[form]):.3f}), {ratio:.2f} times as fast as {forms[0]}"
            )


def _seconds(block: LocalPyramidAttention, features: Tensor, *, training: bool) -> float:
    """Return the CPU time of a forward pass, in training with its gradients."""
    begun = time.process_time()
    with torch.set_grad_enabled(training):
        result = block(features)
        if training:
            torch.autograd.grad(result.sum(), list(block.parameters()))
    return time.process_time() - begun


if __name__ == "__main__":
    main()
