"""Damaged files in a run folder, and what a resumed run makes of them."""

from collections.abc import Callable
from pathlib import Path

from tests.support.runs import Finished, command
from tools.faults.scene import Fault, Scene, goes_on

Damage = Callable[[Path], object]

LAST, PREVIOUS, BEST = (f"checkpoints/{name}.ckpt" for name in ("last", "previous", "best"))


def cut(path: Path) -> None:
    """Leave the first half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Change bits in the middle, of more bytes than torch fills up between two tensors."""
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content) // 2 + 128):
        content[place] ^= 1
    path.write_bytes(content)


def garble(path: Path) -> None:
    """Put zeros before the last row, and half a row behind it, as a power cut may."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], b"\0" * 40 + b"\n", lines[-1], b"0.12,"]))


def open_list(path: Path) -> None:
    """Write YAML that does not end."""
    path.write_text("[a", encoding="utf-8")


def _resumed(damage: Damage, *names: str) -> Callable[[Scene], Finished]:
    def act(scene: Scene) -> Finished:
        scene.trained()
        for name in names:
            damage(scene.run / name)
        done = command("train", f"resume={scene.run}", "trainer.max_steps=6")
        return Finished(done.code, done.out, done.out + done.err)

    return act


def _kept(name: str, also: Callable[[Scene], str] = goes_on) -> Callable[[Scene], str]:
    def left(scene: Scene) -> str:
        assert (scene.run / name).is_file()
        return f"{Path(name).name} kept; {also(scene)}"

    return left


def _untouched(scene: Scene) -> str:
    assert not list(scene.run.rglob("*damaged*"))
    return "nothing was changed"


FILES = [
    Fault(
        *("last.ckpt truncated", "cut in half", _resumed(cut, LAST)),
        *(_kept("checkpoints/last.damaged.ckpt"), 0),
        ("It is kept as last.damaged.ckpt", "Going on from", "previous.ckpt, step"),
        slow=False,
    ),
    Fault(
        *("bits of last.ckpt flipped", "in the middle", _resumed(flip, LAST)),
        *(_kept("checkpoints/last.damaged.ckpt"), 0),
        ("checksum", "Going on from", "previous.ckpt, step"),
        slow=False,
    ),
    Fault(
        *("last.ckpt missing", "removed", _resumed(Path.unlink, LAST), goes_on, 0),
        ("Going on from", "previous.ckpt, step"),
        slow=False,
    ),
    Fault(
        *("last and previous truncated", "cut in half", _resumed(cut, LAST, PREVIOUS)),
        *(_untouched, 1),
        ("no checkpoint is left to go on from", "weights="),
        slow=False,
    ),
    Fault(
        *("bits of best.ckpt flipped", "in the middle", _resumed(flip, BEST)),
        *(_kept("checkpoints/best.damaged.ckpt"), 0),
        ("It is kept as best.damaged.ckpt",),
        slow=False,
    ),
    Fault(
        *("config.yaml damaged", "cut in a list", _resumed(open_list, "config.yaml")),
        *(_kept("config.damaged.yaml"), 0),
        ("config.yaml is damaged: it is kept as config.damaged.yaml",),
        slow=False,
    ),
    Fault(
        *("overrides.yaml damaged", "cut in a list", _resumed(open_list, "overrides.yaml")),
        *(_untouched, 2),
        ("restore it, or remove it",),
        slow=False,
    ),
    Fault(
        *("tail of metrics.csv damaged", "zeros, half a row", _resumed(garble, "metrics.csv")),
        *(_kept("metrics.damaged.csv"), 0),
        ("metrics.csv was damaged: the rows that could be read are kept",),
        slow=False,
    ),
]
