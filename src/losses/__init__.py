"""Training losses that torch does not have."""
