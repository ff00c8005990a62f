"""Types, errors, registry, seeding, paths: what every layer may use."""

__version__ = "0.1.0"
