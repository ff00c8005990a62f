"""Whether W&B would find an API key without asking for one."""

import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit


def has_key() -> bool:
    """Return whether there is a key for the server: in the environment, or in a netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    home = Path.home()
    named = [Path(os.environ["NETRC"])] if "NETRC" in os.environ else []
    for file in (*named, home / ".netrc", home / "_netrc"):
        try:
            if netrc.netrc(file).authenticators(host) is not None:
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
