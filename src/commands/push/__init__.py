"""Share a network on a hub."""
