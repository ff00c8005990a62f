"""Benchmarks: forms of attention, networks and training steps side by side."""
