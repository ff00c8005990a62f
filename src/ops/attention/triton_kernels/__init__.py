"""Patch attention for GPUs in Triton; imports Triton, so import it only where that is there."""
