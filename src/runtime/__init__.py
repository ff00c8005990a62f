"""The composition root: config to objects, run folder, checkpoints."""
