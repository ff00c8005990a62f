"""Whole images through a network."""
