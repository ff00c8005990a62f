"""Degraded images made, with a record of what was drawn for each."""
