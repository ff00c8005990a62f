import pytest
import torch

from src.inference.ensemble import dihedral, self_ensemble, undo_dihedral


def _image() -> torch.Tensor:
    return torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("index", range(8))
def test_each_map_is_undone_exactly(index: int) -> None:
    assert torch.equal(undo_dihedral(dihedral(_image(), index), index), _image())


def test_the_eight_maps_differ() -> None:
    square = _image()[..., :5]
    variants = [dihedral(square, index) for index in range(8)]
    assert all(
        not torch.equal(variants[one], variants[other]) for one in range(8) for other in range(one)
    )


def test_a_network_that_knows_no_direction_is_not_changed() -> None:
    image = _image()
    assert torch.allclose(self_ensemble(lambda seen: seen * 2, image), image * 2)


def test_the_ensemble_turns_with_the_image() -> None:
    def biased(seen: torch.Tensor) -> torch.Tensor:
        return seen + torch.linspace(0, 1, seen.shape[-1])

    for index in range(8):
        turned = self_ensemble(biased, dihedral(_image(), index))
        assert torch.allclose(turned, dihedral(self_ensemble(biased, _image()), index), atol=1e-6)
