"""Networks out of the project: traced, written, and held against what they were made from."""
