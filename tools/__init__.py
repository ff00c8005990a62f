"""Experiments on the project itself: each module runs as `python -m tools.<name>`."""
