"""Protocols and per-image scores."""
