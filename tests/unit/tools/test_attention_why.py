"""Where trained cells look: a comparison may be anybody's, and uniform weights are uniform."""

from pathlib import Path

import pytest
import torch

from src.app.build import build_task
from src.core.errors import UntrustedError
from src.inference.attention_maps import maps_of
from src.ops.attention.one_query import mean_spread
from tests.support.compose import compose_config
from tools.attention_why import measured, trained, uniform, with_row, write

SMALL = ("task=denoise", "model=panet_tiny", "model.blocks=2", "model.channels=8")


@pytest.mark.parametrize(
    "word",
    [
        "model._target_=os.system",
        "++callbacks.x={_target_: os.system, command: id}",
        "seed=${oc.env:HOME}",
    ],
)
def test_words_of_a_comparison_that_name_code_are_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(UntrustedError):
        trained([*SMALL, word], tmp_path / "model.safetensors")


def test_uniform_weights_see_every_key_alike_and_only_while_asked() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build_task(compose_config(*SMALL)).net.eval()
        noisy = torch.rand(1, 3, 24, 24)

    def effective() -> tuple[float, float]:
        (maps,) = maps_of(net, noisy, [(3, 5), (20, 11)]).values()
        seen = mean_spread([one.spread(4.0) for one in maps])
        return seen.effective_keys, seen.keys

    with uniform(net):
        effective_keys, keys = effective()
    assert effective_keys == pytest.approx(keys, rel=1e-4)
    assert effective()[0] < 0.999 * keys


def test_what_was_measured_of_cells_whose_weights_are_gone_is_kept(tmp_path: Path) -> None:
    def row(seed: str, psnr: float, **more: float) -> dict[str, object]:
        return {"seed": seed, "attention": "cross_scale", "set": "natural", "PSNR": psnr, **more}

    write(tmp_path, [row("1", 30.0), row("2", 31.0, keys=9.0)])
    text = write(tmp_path, with_row(measured(tmp_path), row("2", 32.0, uniform=-1.0)))
    assert measured(tmp_path) == [row("1", 30.0), row("2", 32.0, uniform=-1.0, keys=9.0)]
    assert "uniform" in text
    assert "31.0" not in text
