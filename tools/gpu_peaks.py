"""The card's two roofs, and pyramid attention through PyTorch's own kernels: part of tools.gpu.

``scaled_dot_product_attention`` is given the patches themselves, of nine times as many numbers as
the features have; what it returns is pasted by ``fold``. FlexAttention takes no such width.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from src.core.seeding import generator_for
from src.ops.attention.contract import OVERLAP
from src.ops.attention.patch_attention import patch_attention
from tools.measured import write_record

CHANNELS, MATCH, SCALES = 64, 32, (1.0, 0.9, 0.8, 0.7, 0.6)
MIN_NORM = 1e-4


def seconds(call: Callable[[], object], runs: int = 7) -> float:
    """Return the median of several calls, in seconds, after two that do not count."""
    times = []
    for run in range(runs + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        if run > 1:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def peaks() -> list[dict[str, object]]:
    """Return bytes and products a second that the card reaches, by type."""
    big = torch.empty(2**30, dtype=torch.float32, device="cuda")
    other = torch.empty_like(big)
    copied = 2 * big.numel() * 4 / seconds(partial(other.copy_, big))
    del big, other
    rows: list[dict[str, object]] = [{"what": "copy", "rate": f"{copied / 1e12:.2f} TB/s"}]
    for name, dtype, short in (
        ("bf16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("fp32", torch.float32, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = short
        left, right = (torch.randn(8192, 8192, device="cuda", dtype=dtype) for _ in range(2))
        rate = 2 * 8192**3 / seconds(partial(torch.matmul, left, right))
        rows.append({"what": f"product of 8192², {name}", "rate": f"{rate / 1e12:.0f} TFLOP/s"})
    torch.backends.cuda.matmul.allow_tf32 = False
    return rows


def by_torch(query: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """Return the pasted patches by ``scaled_dot_product_attention``."""

    def patches(features: Tensor) -> Tensor:
        return F.unfold(features, 3, padding=1).transpose(1, 2)

    wide = torch.cat([patches(key) for key in keys], dim=1)
    wide = wide / wide.norm(dim=2, keepdim=True).clamp(min=MIN_NORM)
    pasted = torch.cat([patches(value) for value in values], dim=1)
    result = F.scaled_dot_product_attention(
        patches(query)[:, None], wide[:, None], pasted[:, None], scale=10.0
    )[:, 0]
    return F.fold(result.transpose(1, 2), query.shape[2:], 3, padding=1) / OVERLAP


def forms() -> list[dict[str, object]]:
    """Return milliseconds of our form and of PyTorch's kernel on the same patches."""
    rows: list[dict[str, object]] = []
    for dtype in (torch.float32, torch.bfloat16):
        for side in (48, 96, 128, 192):
            leaves = _leaves(side, dtype)
            query, keys, values = leaves[0], leaves[1:6], leaves[6:]
            row: dict[str, object] = {"type": str(dtype).removeprefix("torch."), "side": side}
            calls = {
                "ours": lambda q=query, k=keys, v=values: patch_attention(
                    q, k, v, min_norm=torch.tensor([MIN_NORM]).to(q), implementation="auto"
                ),
                "sdpa": lambda q=query, k=keys, v=values: by_torch(q, k, v),
            }
            results = {}
            for name, call in calls.items():
                try:
                    with torch.no_grad():
                        results[name] = call().double()
                        row[f"{name}_ms"] = round(1e3 * seconds(call), 3)
                except (RuntimeError, torch.OutOfMemoryError) as error:
                    row[f"{name}_ms"] = str(error).splitlines()[0][:60]
            if len(results) == 2:
                difference = (results["ours"] - results["sdpa"]).norm() / results["sdpa"].norm()
                row["difference"] = f"{float(difference):.1e}"
            rows.append({"difference": "", **row})
    return rows


def _leaves(side: int, dtype: torch.dtype) -> list[Tensor]:
    generator = generator_for("cpu", "patches")

    def draw(planes: int, scale: float) -> Tensor:
        size = int(side * scale)
        return torch.randn(1, planes, size, size, generator=generator).to("cuda", dtype)

    return [
        draw(MATCH, 1.0),
        *(draw(MATCH, scale) for scale in SCALES),
        *(draw(CHANNELS, scale) for scale in SCALES),
    ]


def main() -> None:
    """Measure, print tables, write the records."""
    write_record("peaks", peaks(), {"card": torch.cuda.get_device_name()})
    sys.stdout.write("\n")
    write_record("patches", forms(), {"card": torch.cuda.get_device_name(), "channels": CHANNELS})


if __name__ == "__main__":
    main()
