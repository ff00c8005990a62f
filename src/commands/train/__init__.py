"""Training: decided once, run, resumed, and the jobs of a sweep."""
