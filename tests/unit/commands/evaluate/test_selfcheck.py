"""`python -m src.evaluate selfcheck=true`: which rows run, what is said, and the exit status."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from src.commands.evaluate import selfcheck
from src.commands.evaluate.command import evaluate
from src.commands.evaluate.selfcheck import PublishedRow, folder_of, is_asked_for, read_rows
from src.core.errors import ConfigError, MismatchError
from tests.support.compose import compose_config
from tests.support.images import write_folder


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    write_folder(tmp_path / "Tiny", 2, height=40, width=48)
    return tmp_path


def rows_file(folder: Path, published: float, *, package: str | None = None) -> Path:
    group = {
        "what": "mosaic",
        "source": "none",
        "words": ["task=demosaic", "model=identity"],
        "package": package,
        "rows": [{"set": "tiny", "psnr": published}],
    }
    content = {
        "tolerances": {"psnr": 0.01},
        "sets": {"tiny": {"images": 2, "folders": ["tiny"]}},
        "groups": [group],
    }
    path = folder / "rows.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def check(data_dir: Path, *words: str) -> float:
    return evaluate(
        compose_config(
            "selfcheck=true",
            "device=cpu",
            f"paths.data_dir={data_dir}",
            f"paths.cache_dir={data_dir / 'cache'}",
            *words,
            config_name="evaluate",
        )
    )


def mosaiced_psnr(folder: Path) -> float:
    """Return the mean PSNR of zero-filled GRBG mosaics, by NumPy alone."""
    scores = []
    for path in folder.glob("*.png"):
        clean = np.asarray(Image.open(path).convert("RGB")).astype(float)
        kept = np.zeros_like(clean)
        kept[0::2, 0::2, 1] = kept[1::2, 1::2, 1] = 1
        kept[0::2, 1::2, 0] = kept[1::2, 0::2, 2] = 1
        scores.append(10 * np.log10(255**2 / np.mean((clean * (1 - kept)) ** 2)))
    return float(np.mean(scores))


Use = Callable[[Path], None]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    def use_rows(path: Path) -> None:
        monkeypatch.setattr(selfcheck, "read_rows", lambda: read_rows(path))

    return use_rows


@pytest.mark.long
def test_a_row_that_agrees_is_said_to(data_dir: Path, use: Use, capsys: Capture) -> None:
    use(rows_file(data_dir, mosaiced_psnr(data_dir / "Tiny")))
    assert check(data_dir, f"output={data_dir / 'out'}") == 1
    assert "agrees" in capsys.readouterr().out
    assert (data_dir / "out/selfcheck.json").is_file()


def test_a_row_that_differs_fails_and_is_named(data_dir: Path, use: Use, capsys: Capture) -> None:
    use(rows_file(data_dir, mosaiced_psnr(data_dir / "Tiny") + 0.02))
    with pytest.raises(MismatchError, match=r"1 of 1 means differ.*tiny mosaic psnr"):
        check(data_dir)
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize("given", ["sets={}/Tiny", "data=folder data.val_dir={}/Tiny"])
def test_a_folder_may_be_named_directly(data_dir: Path, use: Use, given: str) -> None:
    use(rows_file(data_dir, mosaiced_psnr(data_dir / "Tiny")))
    words = given.format(data_dir).split()
    assert check(data_dir, *words, "paths.data_dir=/nowhere") == 1


def test_nothing_to_check_is_an_error(data_dir: Path, use: Use, capsys: Capture) -> None:
    use(rows_file(data_dir, 9.0, package="no_such_package"))
    with pytest.raises(ConfigError, match="Nothing could be checked"):
        check(data_dir)
    said = "".join(capsys.readouterr().out.split())
    assert "notrun" in said
    assert "needsthepackageno_such_package:pipinstall'exemplar[no_such_package]'" in said


@pytest.mark.long
def test_at_80_columns_the_command_that_mends_a_row_is_in_one_piece(
    data_dir: Path, use: Use, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = rows_file(data_dir, mosaiced_psnr(data_dir / "Tiny"))
    content = yaml.safe_load(path.read_text())
    content["sets"]["no_such_set"] = {"images": 2, "folders": ["no_such_set"]}
    content["groups"][0]["rows"].append({"set": "no_such_set", "psnr": 9.0})
    path.write_text(yaml.safe_dump(content))
    use(path)
    assert check(data_dir) == 1
    said = capsys.readouterr().out.splitlines()
    command = "python -m src.prepare dataset=no_such_set"
    assert f"  no_such_set, mosaic psnr: no images; {command}" in said
    assert any("tiny, mosaic" in line and "agrees" in line for line in said)


def row(**changes: object) -> PublishedRow:
    first = next(row for row in read_rows() if row.benchmark == "set5")
    return replace(first, **changes)


def test_every_reason_not_to_run_a_row_is_told(tmp_path: Path) -> None:
    write_folder(tmp_path / "set5", 4)
    folder = tmp_path / "set5"
    assert row().obstacle(None, slow_too=False) == "no images; python -m src.prepare dataset=set5"
    assert "4 images in set5, not 5" in str(row().obstacle(folder, slow_too=False))
    right = row(images=4)
    assert right.obstacle(folder, slow_too=False) is None
    slow = replace(right, slow="an hour")
    assert slow.obstacle(folder, slow_too=False) == "an hour; selfcheck=all"
    assert slow.obstacle(folder, slow_too=True) is None


def test_sets_are_found_under_their_usual_names(tmp_path: Path) -> None:
    mcmaster = next(row for row in read_rows() if row.benchmark == "mcmaster18")
    assert folder_of(mcmaster, tmp_path) is None
    (tmp_path / "McM18").mkdir()
    assert folder_of(mcmaster, tmp_path) == tmp_path / "McM18"
    assert folder_of(mcmaster, "/nowhere", [str(tmp_path / "McM18")]) == tmp_path / "McM18"
    assert is_asked_for(mcmaster, ["mcmaster18"])
    assert not is_asked_for(mcmaster, ["set5"])


def test_the_rows_are_those_of_the_papers() -> None:
    rows = {(row.benchmark, row.what): row.published["psnr"] for row in read_rows()}
    assert rows["set5", "bicubic ×2"] == 33.66
    assert rows["set14", "bicubic ×3"] == 27.55
    assert rows["classic5", "JPEG, quality 40"] == 32.43
    assert rows["cbsd68", "CBM3D, σ = 50"] == 27.38
    assert rows["urban100", "bicubic ×2"] == 26.88
    assert rows["live1", "JPEG, quality 10"] == 27.77
    assert rows["kodak24", "mosaic"] == 8.56
    assert len(rows) == 33


def test_a_row_may_have_a_tolerance_of_its_own(data_dir: Path) -> None:
    content = yaml.safe_load(rows_file(data_dir, 9.0).read_text())
    content["groups"][0]["rows"].append({"set": "tiny", "psnr": 9.5, "tolerances": {"psnr": 0.3}})
    path = data_dir / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    assert [row.tolerances["psnr"] for row in read_rows(path)] == [0.01, 0.3]
