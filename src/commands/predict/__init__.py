"""Restore images with a trained network."""
