"""Types, errors, registry, seeding, paths: what every layer may use."""
