"""A page to restore and compare photographs in, and addresses for scripts."""
