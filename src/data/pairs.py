"""Pairs of images in two folders: which input belongs to which target, and what is wrong."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from src.core.errors import ConfigError, DataError
from src.data.depth import Pixels
from src.data.image_io import is_grey
from src.data.source import FaultyItem, FileItem, ImageFolder, ImageItem

INPUT_WORDS = {"lr", "lrbi", "lq", "noisy", "input", "blur", "blurry", "degraded", "low"}
TARGET_WORDS = {"hr", "hq", "gt", "clean", "target", "sharp", "high", "original"}
OUTPUT_WORDS = {"restored", "sr", "out", "output", "result", "denoised", "dejpeg", "demosaiced"}
"""Words in names, between ``_`` and ``-``, that say which of a pair a file is, and not of which."""


class PairError(DataError):
    """A file has no partner, or one that does not fit.

    Attributes:
        kind: What is wrong; errors of one kind are counted and listed together.
        where: The files or the pair.
    """

    def __init__(self, kind: str, where: str) -> None:
        super().__init__(f"{where} ({kind})")
        self.kind, self.where = kind, where


@dataclass(frozen=True)
class PairItem:
    """A target that can be had again and again, with its input."""

    target: ImageItem  # what a network is to restore
    given: ImageItem  # what it is given, 1 / ``scale`` as large
    scale: int  # size of the target over that of the input
    # The target may be larger than what is given by its last rows and columns, which make no
    # multiple of this, and has them cut off.
    multiple: int = 1
    named: tuple[str, str] = ("target", "input")  # what messages call both

    def load(self, channels: int) -> Pixels:
        """Return the target, (H, W, ``channels``)."""
        target = self.target.load(channels)
        if self.multiple > 1:
            height, width = (side - side % self.multiple for side in target.shape[:2])
            if self.given.load(channels).shape[:2] == (height, width):
                return target[:height, :width]
        return target

    def check(self, key: str, target: Pixels) -> None:
        """Refuse an input that does not fit its target.

        Args:
            key: Of the pair.
            target: Its target, loaded.

        Raises:
            PairError: Saying both sizes, and the nearest that would fit; or which one is grey.
        """
        given, (clean, other) = self.given.load(target.shape[2]), self.named
        (height, width), (rows, columns) = target.shape[:2], given.shape[:2]
        if (height, width) != (rows * self.scale, columns * self.scale):
            wanted = f"{columns * self.scale}×{rows * self.scale} (×{self.scale})"
            raise PairError(
                "sizes that do not fit",
                f"{key}: the {other} is {columns}×{rows}, the {clean} {width}×{height} px and not "
                f"{wanted}{self._hint(height, width, rows, columns)}",
            )
        if is_grey(given) and not is_grey(target):
            raise PairError(f"a grey {other} of a coloured {clean}", key)

    def _hint(self, height: int, width: int, rows: int, columns: int) -> str:
        """Return what may be wrong with the sizes of a target and its input."""
        clean, other = self.named
        ratio = height // rows
        if ratio not in {1, self.scale} and ratio == width // columns:
            return f"; the {other} is {ratio} times smaller"
        lacks = height - rows * self.scale
        if lacks > 0 and lacks % 2 == 0 and lacks == width - columns * self.scale:
            return f"; without a border of {lacks // 2} px the {clean} would fit"
        return ""


class PairFolders:
    """The images of one folder as targets of those of another, matched by name.

    Files belong together that lie in the same sub-folders and have the same stem; of the others,
    those whose names are the same without ``x4`` at the end (the scale) and without words such as
    LR, NOISY and GT. Both folders may be the same one, as in SIDD: then inputs are the files with
    such a word of an input.

    Args:
        target_dir: The folder of what is to be restored.
        input_dir: The folder of what is given.
        scale: Size of a target over that of its input.
        pattern: A regular expression, sought in the path below the folder; what its groups match
            is the name of the pair. None for the rule above.

    Raises:
        ConfigError: If the pattern is none, or has no group.
    """

    def __init__(
        self,
        target_dir: str | Path,
        input_dir: str | Path,
        *,
        scale: int = 1,
        pattern: str | None = None,
    ) -> None:
        self.targets, self.inputs = ImageFolder(target_dir), ImageFolder(input_dir)
        self.scale, self.multiple = scale, 1
        self.words = INPUT_WORDS | TARGET_WORDS
        self.named, self.whole = ("target", "input"), "pair"
        self.namers: tuple[Callable[[Path], str], ...] = (_path, self._without_words)
        if pattern is not None:
            try:
                named = re.compile(pattern)
            except re.error as error:
                raise ConfigError(f"data.pattern={pattern}: {error}.") from error
            if not named.groups:
                raise ConfigError(
                    f"data.pattern={pattern}: no group (…) says what of a name is the pair's, "
                    r"e.g. data.pattern='(\d+)_'"
                )
            self.namers = (lambda path: _matched(named, path),)

    def describe(self) -> str:
        """Return where the images are."""
        return f"pairs of targets under {self.targets.root} and inputs under {self.inputs.root}"

    def items(self) -> dict[str, ImageItem]:
        """Return key → pair, sorted by key; what has no partner raises an error when loaded.

        Raises:
            DataError: If a folder is missing, or contains no image.
        """
        targets, inputs = self.targets.files(), self.inputs.files()
        if self.targets.root == self.inputs.root:
            inputs = {key: path for key, path in inputs.items() if _words(path) & INPUT_WORDS}
            targets = {key: path for key, path in targets.items() if key not in inputs}
        keys = {path: key for key, path in targets.items()}
        pairs, double, (lonely, surplus) = self._matched(targets.values(), inputs.values())
        items: dict[str, ImageItem] = {
            keys[target]: PairItem(
                FileItem(target), FileItem(given), self.scale, self.multiple, self.named
            )
            for target, given in pairs.items()
        }
        clean, other = self.named
        wrong = [
            *((f"{clean}s without {_a(other)}", str(path)) for path in lonely),
            *((f"{other}s without {_a(clean)}", str(path)) for path in surplus),
            *(
                (f"several files of one {self.whole}", ", ".join(map(str, paths)))
                for paths in double
            ),
        ]
        # Behind all keys of pairs, which contain no NUL.
        items |= {f"\0{text}": FaultyItem(PairError(kind, text)) for kind, text in wrong}
        return dict(sorted(items.items()))

    def _matched(
        self, targets: Iterable[Path], inputs: Iterable[Path]
    ) -> tuple[dict[Path, Path], list[list[Path]], tuple[list[Path], list[Path]]]:
        """Return target → input, files of which several have one name, and what has no partner."""
        pairs: dict[Path, Path] = {}
        double: list[list[Path]] = []
        rest = list(targets), list(inputs)
        for namer in self.namers:
            named = [
                _by_name(paths, folder.root, namer)
                for paths, folder in zip(rest, (self.targets, self.inputs), strict=True)
            ]
            for name in sorted(named[0].keys() & named[1].keys()):
                ours, theirs = named[0].pop(name), named[1].pop(name)
                if len(ours) == len(theirs) == 1:
                    pairs[ours[0]] = theirs[0]
                else:
                    double.append([*ours, *theirs])
            rest = tuple([path for paths in side.values() for path in paths] for side in named)  # type: ignore[assignment]
        return pairs, double, rest

    def _without_words(self, path: Path) -> str:
        parts = [self._plain(part) for part in path.with_suffix("").parts]
        return "/".join(part for part in parts if part)

    def _plain(self, part: str) -> str:
        tokens = [
            re.sub(rf"(?i)x{max(self.scale, self.multiple)}$", "", token)
            for token in re.split("[_-]", part)
        ]
        return "_".join(token for token in tokens if token and token.lower() not in self.words)


class RestoredImages(PairFolders):
    """What any program has made of degraded images, as inputs of the clean ones; not degraded.

    Args:
        target_dir: The folder of the clean images.
        restored_dir: That of the restored ones, named as inputs are, or with a word such as SR.
        multiple: Of enlarged images, the factor; sides of the clean ones are cut to multiples.
    """

    def __init__(
        self, target_dir: str | Path, restored_dir: str | Path, *, multiple: int = 1
    ) -> None:
        super().__init__(target_dir, restored_dir)
        self.multiple, self.words = multiple, self.words | OUTPUT_WORDS
        self.named, self.whole = ("clean image", "restored image"), "image"

    def describe(self) -> str:
        """Return where the images are."""
        return f"clean images under {self.targets.root}, restored ones under {self.inputs.root},"


def _a(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _by_name(
    paths: Iterable[Path], root: Path, namer: Callable[[Path], str]
) -> dict[str, list[Path]]:
    named: dict[str, list[Path]] = {}
    for path in paths:
        named.setdefault(namer(path.relative_to(root)), []).append(path)
    return named


def _path(path: Path) -> str:
    return str(path.with_suffix(""))


def _matched(pattern: re.Pattern[str], path: Path) -> str:
    match = pattern.search(path.as_posix())
    return "\0".join(match.groups("")) if match else path.as_posix()


def _words(path: Path) -> set[str]:
    return {token.lower() for token in re.split("[_-]", path.stem)}
