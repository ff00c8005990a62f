"""Disks that are full or read-only, and files that go away while a run uses them."""

import resource
import shutil
import signal

from tests.support.runs import Finished
from tools.faults.scene import Fault, Scene, ended, fill, goes_on, mounted, nothing_left, read_only

SMALL = ("-t", "tmpfs", "-o", "size=4m", "tmpfs")


def _full_disk(scene: Scene, *words: str) -> Finished:
    disk = scene.here / "disk"
    with mounted(disk, *SMALL):
        scene.run = disk / "run"
        process = scene.start(*words)
        scene.until_step(process, 0 if words else 3)
        scene.until(process, (scene.run / "metrics.csv").is_file)
        filler = fill(disk)
        done = ended(process)
        filler.unlink()
        shutil.copytree(scene.run, scene.here / "kept")
    scene.run = scene.here / "kept"
    return done


def _full_at_metrics(scene: Scene) -> Finished:
    rare = "callbacks.checkpoint_last.every_n_steps=100000"
    often = "+logger.csv.flush_logs_every_n_steps=1"
    return _full_disk(scene, rare, often, "trainer.val_check_interval=100000")


def _full_at_pictures(scene: Scene) -> Finished:
    rare = "callbacks.checkpoint_last.every_n_steps=100000"
    often = "trainer.val_check_interval=20"
    return _full_disk(scene, rare, often, "+logger.csv.flush_logs_every_n_steps=5")


def _full_at_start(scene: Scene) -> Finished:
    disk = scene.here / "disk"
    with mounted(disk, *SMALL):
        fill(disk).rename(disk / "film.mp4")
        scene.run = disk / "run"
        return ended(scene.start())


def _read_only_root(scene: Scene) -> Finished:
    root = scene.here / "root"
    root.mkdir()
    with read_only(root):
        scene.run = root / "run"
        return ended(scene.start())


def _read_only_run(scene: Scene) -> Finished:
    scene.trained()
    with read_only(scene.run):
        return ended(scene.resume("trainer.max_steps=6"))


def _read_only_cache(scene: Scene) -> Finished:
    cache = scene.here / "cache"
    cache.mkdir()
    with read_only(cache):
        words = (*scene.photos(), "data.cache=on", f"data.cache_dir={cache}")
        return ended(scene.start(*words))


def _image_gone(scene: Scene) -> Finished:
    process = scene.start(*scene.photos(), "trainer.val_check_interval=100000")
    scene.until_step(process, 3)
    image = next((scene.here / "photos").iterdir())
    content = image.read_bytes()
    image.unlink()
    done = ended(process)
    image.write_bytes(content)  # without it, the run would be another
    return done


def _folder_gone(scene: Scene) -> Finished:
    scene.trained(*scene.photos())
    (scene.here / "photos").rename(scene.here / "elsewhere")
    done = ended(scene.resume("trainer.max_steps=6"))
    (scene.here / "elsewhere").rename(scene.here / "photos")
    return done


def _image_damaged(scene: Scene) -> Finished:
    scene.trained(*scene.photos(), "data.cache=on", f"data.cache_dir={scene.here / 'cache'}")
    path = sorted((scene.here / "photos").iterdir())[0]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = ended(scene.resume("trainer.max_steps=6"))
    path.write_bytes(whole)
    return done


def _cache_gone(scene: Scene) -> Finished:
    cache = scene.here / "cache"
    process = scene.start(
        *(*scene.photos(), "data.cache=on", f"data.cache_dir={cache}"),
        "trainer.val_check_interval=100000",
    )
    scene.until_step(process, 3)
    shutil.rmtree(cache)
    return ended(process)


def _run_moved(scene: Scene) -> Finished:
    process = scene.start()
    scene.until_step(process, 3)
    moved = scene.here / "moved"
    scene.run.rename(moved)
    done = ended(process)
    assert not scene.run.exists(), "a second run folder was begun"
    scene.run = moved
    return done


def _file_limit(scene: Scene) -> Finished:
    """Limit the size of files, as quotas do; Python turns the signal into an error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    scene.trained()
    size = (scene.run / "checkpoints/last.ckpt").stat().st_size
    held = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
    try:
        process = scene.resume("trainer.max_steps=6")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, held)
    return ended(process)


DISKS = [
    Fault(
        *("disk full at a checkpoint", "4 MB disk, filled", _full_disk, goes_on, 1),
        ("cannot be written", "Make room"),
        root=True,
    ),
    Fault(
        *("disk full at metrics.csv", "4 MB disk, filled", _full_at_metrics, goes_on, 1),
        ("metrics.csv cannot be written: No space left", "Make room"),
        root=True,
    ),
    Fault(
        *("disk full at pictures", "4 MB disk, filled", _full_at_pictures, goes_on, 1),
        ("No space left on device; make room there",),
        root=True,
    ),
    Fault(
        *("disk full before the start", "4 MB disk, filled", _full_at_start, nothing_left, 1),
        ("No space left",),
        root=True,
    ),
    Fault(
        *("file size limit at a checkpoint", "RLIMIT_FSIZE, half of it", _file_limit, goes_on, 1),
        ("last.ckpt cannot be written", "the previous checkpoint is untouched"),
    ),
    Fault(
        *("output folder read-only", "read-only mount", _read_only_root, nothing_left, 1),
        ("Read-only file system", "paths.output_root"),
        root=True,
    ),
    Fault(
        *("run folder read-only at a resume", "read-only mount", _read_only_run, goes_on, 1),
        ("Read-only file system", "paths.output_root"),
        root=True,
    ),
    Fault(
        *("cache folder read-only", "read-only mount", _read_only_cache, nothing_left, 1),
        ("The image cache cannot be written: Read-only", "data.cache_dir"),
        root=True,
    ),
    Fault(
        *("training image removed in a run", "unlink, cache off", _image_gone, goes_on, 1),
        (".png",),
    ),
    Fault(
        *("training folder gone at a resume", "renamed", _folder_gone, goes_on, 1),
        ("does not exist",),
    ),
    Fault(
        *("image damaged between two runs", "cut in half", _image_damaged, goes_on, 1),
        ("is damaged",),
    ),
    Fault(
        *("cache removed in a run", "rmtree", _cache_gone, goes_on, 1),
        ("was removed or damaged during the run", "Start again"),
    ),
    Fault(
        *("run folder moved in a run", "rename", _run_moved, goes_on, 1),
        ("was moved or removed while", "resume="),
    ),
]
