import torch

from src.core.seeding import generator_for, seed_from


def test_a_seed_is_the_same_on_every_machine() -> None:
    assert seed_from("noise", 0, 1, 2) == 7570069670997691073


def test_each_part_of_the_salt_counts() -> None:
    seeds = {seed_from("noise", seed, step) for seed in range(10) for step in range(100)}
    assert len(seeds) == 1000
    assert seed_from("a", "bc") != seed_from("ab", "c")
    assert seed_from(1) != seed_from("1")


def test_seeds_fit_torch_generators() -> None:
    assert all(0 <= seed_from("any", number) < 2**63 for number in range(1000))


def test_what_is_drawn_does_not_depend_on_what_was_drawn_before() -> None:
    first = torch.rand(3, generator=generator_for("cpu", "noise", 7))
    torch.rand(100, generator=generator_for("cpu", "noise", 8))
    torch.rand(100)
    assert torch.equal(torch.rand(3, generator=generator_for("cpu", "noise", 7)), first)
