"""Which errors are a user's to mend, and the plain sentence in them."""

from hydra.errors import InstantiationException

from src.app.processes.shortage import shortage
from src.core.errors import ConfigError, ExemplarError


def as_user_error(error: Exception) -> ExemplarError | None:
    """Return the error that a user is to read, or None where the program is at fault.

    A constructor refuses a value with ValueError; Hydra wraps that, and names the node.
    """
    if isinstance(error, ExemplarError):
        return error
    lacking = shortage(error)
    if lacking is not None:
        return ExemplarError(lacking)
    if isinstance(error, InstantiationException):
        cause = error.__cause__
        if isinstance(cause, ExemplarError):
            return ConfigError(str(cause))
        if isinstance(cause, ValueError) or _is_lightning_refusal(cause):
            key = str(error).rpartition("full_key: ")[2].strip()
            return ConfigError(f"{key}: {cause}" if key else str(cause))
    return ConfigError(str(error)) if _is_lightning_refusal(error) else None


def _is_lightning_refusal(error: BaseException | None) -> bool:
    # by name, because importing Lightning takes seconds and need not have happened
    return type(error).__name__ == "MisconfigurationException"
