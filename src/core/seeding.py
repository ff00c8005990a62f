"""Order-independent randomness: what is drawn depends on names and counters, not on history."""

import hashlib

import torch


def seed_from(*salt: str | int) -> int:
    """Return a 63-bit seed that is a pure function of ``salt``, the same on every machine."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in salt)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator_for(device: torch.device | str, *salt: str | int) -> torch.Generator:
    """Return a generator on ``device`` seeded by ``salt``, e.g. ("noise", seed, step, rank)."""
    generator = torch.Generator(device=device)
    generator.manual_seed(seed_from(*salt))
    return generator
