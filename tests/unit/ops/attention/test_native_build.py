"""The C++ kernel is compiled for other processors, and done without."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.core.paths import ROOT
from src.ops.attention.cpp import build
from src.ops.attention.patch_attention import Implementation, patch_attention


def results(implementation: Implementation) -> list[Tensor]:
    """Return results and gradients in double and single precision."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for dtype in (torch.float64, torch.float32):
        leaves = [
            (0.5 * torch.randn(2, channels, 23, 19, generator=generator)).to(dtype).requires_grad_()
            for channels in (5, 5, 7)
        ]
        query, key, value = leaves
        min_norm = torch.tensor([1e-4])
        result = patch_attention(
            query, [key], [value], min_norm=min_norm, implementation=implementation
        )
        found += [result.detach(), *torch.autograd.grad((result**2).sum(), leaves)]
    return found


@pytest.mark.skipif(
    build.load("patch_attention") is None, reason="this machine has no C++ compiler"
)
@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are those of x86")
@pytest.mark.parametrize("processor", ["x86-64", "x86-64-v3"], ids=["SSE2 alone", "AVX2"])
def test_the_kernel_is_right_on_older_processors(
    processor: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flags = tuple(flag.replace("native", processor) for flag in build.FLAGS)
    monkeypatch.setattr(build, "FLAGS", flags)
    monkeypatch.setenv("EXEMPLAR_CACHE", str(tmp_path))
    build.load.cache_clear()
    try:
        ours, chunked = (results(name) for name in ("native", "chunked"))
    finally:
        build.load.cache_clear()
    assert any(tmp_path.iterdir())
    for found, expected in zip(ours, chunked, strict=True):
        most = 1e-11 if found.dtype == torch.float64 else 3e-5
        assert (found - expected).abs().max() <= most * expected.abs().max()


@pytest.mark.long
@pytest.mark.parametrize(
    "setting",
    [{"EXEMPLAR_NATIVE": "0"}, {"CXX": "/no/such/compiler"}],
    ids=["switched off", "no compiler"],
)
def test_without_a_compiler_pytorch_does_the_work(setting: dict[str, str], tmp_path: Path) -> None:
    script = (
        "import torch\n"
        "from src.models.attention.pyramid import PyramidAttention\n"
        "from src.ops.attention.native import available\n"
        "features = torch.rand(1, 16, 6, 5)\n"
        "assert not available(features)\n"
        "PyramidAttention(16)(features).sum().backward()\n"
        "print('worked')\n"
    )
    environment = {**os.environ, "EXEMPLAR_CACHE": str(tmp_path), **setting}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "worked", done.stderr


@pytest.mark.long
@pytest.mark.skipif(build.load("patch_attention") is None, reason="no C++ compiler")
def test_a_library_that_was_cut_short_is_built_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXEMPLAR_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "FLAGS", ("-shared", "-fPIC"))
    source = tmp_path / "answer.cpp"
    source.write_text('extern "C" int answer() { return 42; }')
    library = build._compiled(source)
    whole, before = library.read_bytes(), library.stat().st_mtime_ns
    assert build._compiled(source).stat().st_mtime_ns == before  # not built again
    library.write_bytes(whole[: len(whole) // 2])
    assert build._compiled(source).read_bytes() == whole
