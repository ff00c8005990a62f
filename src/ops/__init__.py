"""Pure functions on tensors, each with its source and a parity test."""
