"""The only file that knows where the repository is."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF_DIR = ROOT / "conf"


def from_root(path: str | Path) -> Path:
    """Return ``path`` absolute: as it is, under ``~``, or relative to the repository root."""
    expanded = Path(path).expanduser()
    return expanded if expanded.is_absolute() else ROOT / expanded
