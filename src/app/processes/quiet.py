"""Lightning's own chatter, down to what a user can act on."""

import logging
import warnings


def quiet_lightning() -> None:
    """Silence Lightning's advice lines and the warnings that our design answers."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in (
        ".*does not have many workers.*",  # the user's choice; data_wait is logged
        ".*LeafSpec.*",  # lightning 2.6 on torch 2.13
        ".*GPU available but not used.*",
        ".*Checkpoint directory .* exists and is not empty.*",  # resume: that is the point
        ".*Experiment logs directory .* exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", pattern)
