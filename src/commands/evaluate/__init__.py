"""Evaluation: which combinations, how each is scored, and what is recorded."""
