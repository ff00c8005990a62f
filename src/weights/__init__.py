"""Weights in files: our own checkpoints, networks in one file, and those of other programs."""
