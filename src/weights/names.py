"""Names of checkpoint files, and of what makes a checkpoint enough by itself."""

LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"
"""What LAST was before, for the case that LAST is damaged."""

BEST = "best.ckpt"

KEY = "restoration"
"""The entry of a checkpoint that holds its configuration, version and commit."""

FORMAT = 1
