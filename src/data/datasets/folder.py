"""A folder of image files, searched with its sub-folders."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from src.core.errors import ConfigError, DataError
from src.core.paths import from_root
from src.data.source import FileItem, ImageItem, unique_keys

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class ImageFolder:
    """All images below ``root``; hidden files and folders are passed over.

    Args:
        root: The folder; a relative path starts at the repository root.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = from_root(root)

    def describe(self) -> str:
        """Return where the images are."""
        return f"images under {self.root}"

    def items(self) -> dict[str, ImageItem]:
        """Return key → image file, sorted by key; errors as in :meth:`files`."""
        return {key: FileItem(path) for key, path in self.files().items()}

    def files(self) -> dict[str, Path]:
        """Return key → path, sorted by key.

        Raises:
            DataError: If the folder is missing or holds no image.
        """
        if not self.root.is_dir():
            raise DataError(_missing(self.root))
        found = list(_walk(self.root))
        images = [path for path in found if path.suffix.lower() in EXTENSIONS]
        if not images:
            raise DataError(_no_images(self.root, found))
        return unique_keys(images, self.root)


class ImageFolders:
    """Several folders as one set; a key begins with its folder's name.

    Args:
        roots: The folders, each of another name.

    Raises:
        ConfigError: If two have one name.
    """

    def __init__(self, roots: Sequence[str | Path]) -> None:
        self.folders = {folder.root.name: folder for folder in map(ImageFolder, roots)}
        if len(self.folders) < len(roots):
            names = ", ".join(map(str, roots))
            raise ConfigError(f"Of the folders {names} two have one name, which tells them apart.")

    def describe(self) -> str:
        """Return where the images are."""
        return f"images under {', '.join(str(folder.root) for folder in self.folders.values())}"

    def items(self) -> dict[str, ImageItem]:
        """Return key → image file, sorted by key; errors as in :meth:`ImageFolder.files`."""
        return {
            f"{name}__{key}": item
            for name, folder in sorted(self.folders.items())
            for key, item in folder.items().items()
        }


def folders_of(given: str | Path | Sequence[str | Path]) -> dict[str, ImageFolder]:
    """Return the folders that were given, one or several, by their names; errors as above."""
    return ImageFolders([given] if isinstance(given, str | Path) else given).folders


def _walk(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back up
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        paths = (Path(folder, name) for name in names if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _missing(root: Path) -> str:
    if root.exists():
        return f"{root} is a file; a folder of images is needed, for example {root.parent}."
    parent = next(parent for parent in root.parents if parent.is_dir())
    try:
        folders = sorted(path.name for path in parent.iterdir() if path.is_dir())
    except PermissionError:
        folders = []
    inside = ", ".join(name for name in folders if not name.startswith("."))
    return (
        f"The folder {root} does not exist.\n"
        f"  {parent} does; its folders: {inside or 'none'}.\n"
        "  Relative paths start at the repository root."
    )


def _no_images(root: Path, found: list[Path]) -> str:
    kinds = Counter(path.suffix.lower() or "without extension" for path in found)
    held = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common(5))
    return (
        f"There is no image under {root}: it holds {held or 'no files'}.\n"
        f"  Images end in {', '.join(EXTENSIONS)}; convert others to PNG."
    )
