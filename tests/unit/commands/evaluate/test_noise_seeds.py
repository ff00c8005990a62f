"""Which evaluations draw noise, and so have seeds."""

import pytest
from omegaconf import OmegaConf

from src.commands.evaluate.job import noise_seeds
from src.core.errors import ConfigError

THREE = OmegaConf.create({"seed": 4, "realisations": 3})
MOSAIC = {"_target_": "src.degradations.mosaic.Mosaic"}


def test_a_noisy_mosaic_has_realisations() -> None:
    assert noise_seeds(THREE, OmegaConf.create({**MOSAIC, "noise": [0, 5]})) == [4, 5, 6]


@pytest.mark.parametrize("noise", [{}, {"noise": [0, 0]}])
def test_a_clean_mosaic_draws_nothing(noise: dict[str, list[int]]) -> None:
    with pytest.raises(ConfigError, match="realisations"):
        noise_seeds(THREE, OmegaConf.create({**MOSAIC, **noise}))
    once = OmegaConf.create({"seed": 0, "realisations": 1})
    assert noise_seeds(once, OmegaConf.create({**MOSAIC, **noise})) == []
