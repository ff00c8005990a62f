"""A comparison at equal budget: its cells, and what came of them."""
