"""Errors by which torch says that the other processes of a group do not answer any more."""

SIGNS = (
    "Timed out waiting",  # gloo: nothing came for the time of trainer.strategy.patience_s
    "Connection closed by peer",  # gloo: the process at the other end is gone
    "Connection reset by peer",
    "Connection timed out",
    "Broken pipe",
    "NCCL communicator was aborted",
    "Socket Timeout",  # the key-value store
    "wait timeout",  # the key-value store
)
"""Parts of their messages; torch raises all of them as RuntimeError."""


def lost_partner(error: BaseException) -> str | None:
    """Return torch's reason if ``error`` says that another process does not answer, else None."""
    if not isinstance(error, RuntimeError):
        return None
    lines = str(error).splitlines()
    return next((line.strip() for line in lines if any(sign in line for sign in SIGNS)), None)
