"""The line `Device` of a training."""

import lightning as L  # noqa: N812
import pytest

from src.commands.train.command import device_of


@pytest.mark.parametrize(
    ("capability", "precision", "slow"),
    [
        ("AVX2", "bf16-mixed", True),
        ("AVX2", "32-true", False),
        ("AVX512", "bf16-mixed", False),
        ("AVX512_VNNI", "bf16-mixed", False),
    ],
)
def test_a_precision_that_is_only_emulated_is_named(
    capability: str, precision: str, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    trainer = L.Trainer(accelerator="cpu", precision=precision, logger=False)  # type: ignore[arg-type]
    assert ("trainer.precision=32-true" in device_of(trainer)) == slow
    assert device_of(trainer).startswith(f"cpu, precision {precision}")
