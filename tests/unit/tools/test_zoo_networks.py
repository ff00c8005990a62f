"""The table of the zoo's networks: every network is in it, with what its card and records say."""

from pathlib import Path

import pytest
import torch

from src.core.errors import MismatchError
from src.models.backbones.half_resolution import HalfResolution
from src.weights.zoo import zoo_names
from tools import zoo_networks
from tools.zoo_networks import call_of, groups, scored, trained


def test_every_network_of_the_zoo_is_in_it_with_a_score_a_column() -> None:
    listed = {name: group for group in groups() for name in group["networks"]}
    assert set(zoo_names()) <= set(listed)
    assert all(
        len(group["columns"]) == len(records)
        for group in groups()
        for records in group["networks"].values()
    )


@pytest.mark.parametrize("name", zoo_names())
def test_a_card_says_how_long_its_network_was_trained_and_where(name: str) -> None:
    about = trained(name)
    assert about
    assert all(part["minutes"] > 0 and part["machine"] for part in about)


def test_every_part_of_a_training_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "zoo/mine/card.md"
    card.parent.mkdir(parents=True)
    first, second = "1.5 minutes on an NVIDIA H200, after another", "20 minutes\non two cores."
    card.write_text(f"# Mine\n\n**Trained for** {first}, and {second}\n\n9 minutes on a tram.\n")
    monkeypatch.setattr(zoo_networks, "EXPERIMENTS", tmp_path)
    parts = [(1.5, "NVIDIA H200"), (20.0, "two cores")]
    assert trained("zoo/mine") == [{"minutes": m, "machine": machine} for m, machine in parts]


def test_scores_of_other_weights_are_refused() -> None:
    group = next(group for group in groups() if group["task"] == "demosaic")
    with pytest.raises(MismatchError, match="other weights"):
        scored(group, "zoo/demosaic", "0" * 64)


@pytest.mark.parametrize(("channels", "enlarges"), [(3, 2), (1, 1)])
def test_the_picture_has_the_same_size_after_every_network(channels: int, enlarges: int) -> None:
    net = HalfResolution(channels, channels, scale=enlarges, channels=8, blocks=2)
    restored = call_of(net.eval(), 2, 48)()
    assert restored.shape == (1, channels, 48, 48)
    assert restored.dtype == torch.float32
