"""What is written of a comparison, of made-up cells with known scores."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from src.app.sweeps.cell_files import CELL
from src.commands.compare.report import write_report
from src.core.errors import DataError
from src.core.files import write_csv, write_json
from src.core.paths import ROOT
from tests.support.evaluations import write_evaluation

IMAGES = [f"image{number}" for number in range(8)]
TEXT = """
title: Two <blocks>
fixed: ["degradation.sigma=[50,50]"]
factors:
  seed: {0: seed=0, 1: seed=1}
  attention: {window: model.blocks=7, channel: model.blocks=8, none: model.blocks=9}
reference: {attention: none}
conclusion: One is better.
"""
OWN = {"window": "model.blocks=7", "channel": "model.blocks=8", "none": "model.blocks=9"}


def _cell(
    folder: Path,
    seed: int,
    block: str,
    *,
    more: float = 0,
    seen: str = "x",
    card: str | None = None,
) -> None:
    """Write what a cell leaves that scores ``more`` than 20 dB, 21 dB and so on."""
    here = folder / "cells" / f"{seed}-{block}"
    scores = {image: 20 + number + more for number, image in enumerate(IMAGES)}
    write_evaluation(here, scores, seen=dict.fromkeys(IMAGES, seen), parameters=1000)
    half, whole = 10 + 20 * more, 20 + 20 * more
    head = ["step", "val/photos/psnr"]
    write_csv(here / "metrics.csv", [head, [49, half], [60, ""], [99, whole]])
    resources = {"wall_seconds": 9.0, "peak_memory_mib": 1.0, "peak_gpu_memory_mib": None}
    cost: dict[str, object] = {"steps": 100, "seconds_a_step": 1, "flops": 2e9}
    cost["hardware"] = {"gpus": [card] if card else [], "processor": "slow"}
    write_json(here / CELL, {**cost, "training": resources, "scoring": resources})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two finished cells of six: window is 1 dB better than none and takes twice as long."""
    (tmp_path / "comparison.yaml").write_text(TEXT, encoding="utf-8")
    rows = [
        {
            "folder": f"{seed}-{block}",
            "levels": {"seed": str(seed), "attention": block},
            "sha256": f"{seed}-{block}",
            "words": ["resume=auto", "degradation.sigma=[50,50]", f"seed={seed}", OWN[block]],
        }
        for seed in (0, 1)
        for block in ("window", "channel", "none")
    ]
    write_json(tmp_path / "cells/cells.json", rows)
    _cell(tmp_path, 0, "none")
    _cell(tmp_path, 0, "window", more=1)
    _measured(tmp_path, window=2, none=1)
    return tmp_path


def _measured(folder: Path, **seconds: float) -> None:
    """Write that a step of each block takes so many seconds."""
    rows = [
        {
            "sha256": f"0-{block}",
            "lower": median / 2,
            "median": median,
            "upper": 2 * median,
            "peak_bytes": 3 * 2**20,
        }
        for block, median in seconds.items()
    ]
    about = {"machine": "a slow one", "busy_percent": 3}
    write_json(folder / "costs.json", {**about, "steps": rows})


def _lines(folder: Path, block: str) -> list[list[str]]:
    """Return the cells of the lines of a block in all tables but the overview."""
    lines = (folder / "table.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] == block and len(row) > 2]


def test_a_gain_stands_in_the_table_with_its_interval_and_what_was_varied(folder: Path) -> None:
    write_report(folder)
    text = (folder / "table.md").read_text(encoding="utf-8")
    gains, cost = _lines(folder, "window")
    assert gains[:4] == ["window", "1", "images", "+1.000"]
    assert gains[4:6] == ["24.500", "+1.000 [+1.000, +1.000]"]
    assert _lines(folder, "none")[0][:6] == ["none", "1", "–", "–", "23.500", "–"]
    assert "ONE SEED" in text
    assert "2 of 6 cells are finished" in text
    assert cost[1:5] == ["1,000 (+0.0%)", "2", "2000 [1000, 4000]", "3"]
    assert "## cost on a slow one" in text
    assert "| window | +1.00 (1) |" in text  # no star: of one seed p says nothing of others
    for name in ("0-channel", "1-none"):
        assert f"- {name}" in text
    assert "`python -m src.train 'degradation.sigma=[50,50]' seed=0 model.blocks=9`" in text


def test_a_level_that_has_come_since_the_last_start_is_one_that_is_not_finished(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = TEXT.replace("1: seed=1}", "1: seed=1, 2: seed=2}")
    (folder / "comparison.yaml").write_text(more, encoding="utf-8")
    write_report(folder)
    assert "2 of 9 are finished" in capsys.readouterr().err
    text = (folder / "table.md").read_text(encoding="utf-8")
    assert "2 of 9 cells are finished" in text
    assert "2-channel" in text


def test_at_equal_time_a_slow_block_has_done_fewer_steps(folder: Path) -> None:
    write_report(folder)
    assert _lines(folder, "window")[1][-2:] == ["50", "+10.000"]  # 30 then, against 20
    _measured(folder, window=0.5, none=1)
    write_report(folder)
    assert _lines(folder, "window")[1][-2:] == ["100", "+20.000"]  # it does no more than it has


def test_equal_time_is_that_of_the_reference_whatever_steps_a_block_was_given(folder: Path) -> None:
    file = folder / "cells/0-window" / CELL
    file.write_text(file.read_text("utf-8").replace('"steps": 100', '"steps": 60'), "utf-8")
    write_report(folder)
    assert _lines(folder, "window")[1][-2:] == ["50", "+10.000"]  # half of the reference's 100
    _cell(folder, 1, "none")
    _cell(folder, 1, "window", more=float("nan"))  # and a seed that diverged hides no other
    write_report(folder)
    assert _lines(folder, "window")[1][-1] == "+10.000"


def test_a_metric_that_lacks_a_seed_moves_no_column(folder: Path) -> None:
    _cell(folder, 1, "none")
    _cell(folder, 1, "window", more=2)
    for file in folder.glob("cells/*/results.json"):
        record = json.loads(file.read_text("utf-8"))
        board = record["benchmarks"]["photos"]
        for part in ("restored", "input"):
            for scores in board[part].values():
                scores["ssim"] = scores["psnr"] / 100
        board["mean"]["ssim"] = board["mean"]["psnr"] / 100
        if file.parent.name == "1-window":
            board["mean"]["psnr"] = None
            for scores in board["restored"].values():
                scores["psnr"] = None
        file.write_text(json.dumps(record), "utf-8")
    write_report(folder)
    gains = _lines(folder, "window")[0]
    assert gains[1:3] == ["1", "images"]
    assert len(gains) == len(_lines(folder, "none")[0])


def test_a_metric_that_a_block_lacks_leaves_no_other_in_its_place(folder: Path) -> None:
    for block in ("none", "window"):
        file = folder / f"cells/0-{block}/results.json"
        record = json.loads(file.read_text("utf-8"))
        board = record["benchmarks"]["photos"]
        for scores in board["restored"].values():
            scores["ssim"] = scores["psnr"] / 100
            if block == "window":
                scores["psnr"] = None
        board["mean"]["ssim"] = board["mean"]["psnr"] / 100
        if block == "window":
            board["mean"]["psnr"] = None
        file.write_text(json.dumps(record), "utf-8")
    write_report(folder)
    text = (folder / "table.md").read_text("utf-8")
    assert "gain over none (" not in text  # no overview: nothing is known of the first metric
    assert "gain.svg" not in text
    (gains, _) = _lines(folder, "window")
    assert gains[4] == gains[5] == "–"
    assert gains[10].startswith("+0.01")


def test_names_of_sets_end_no_cell_and_open_no_tag(folder: Path) -> None:
    for block in ("none", "window"):
        file = folder / f"cells/0-{block}/results.json"
        record = json.loads(file.read_text("utf-8"))
        record["benchmarks"] = {"a|b <i>$x_2$\nc": record["benchmarks"]["photos"]}
        file.write_text(json.dumps(record), "utf-8")
    write_report(folder)
    text = (folder / "table.md").read_text("utf-8")
    assert "a\\|b &lt;i>$x_2$ c" in text
    assert "<i>" not in text.replace("&lt;i>", "")
    assert "a|b &lt;i&gt;$x_2$" in (folder / "gain.svg").read_text("utf-8")  # no formula


def test_a_gain_over_a_reference_from_another_machine_is_named(folder: Path) -> None:
    _cell(folder, 1, "none", card="H200")
    _cell(folder, 1, "window", more=2)
    write_report(folder)
    text = (folder / "table.md").read_text(encoding="utf-8")
    assert "window (seed 1): the reference of that seed was trained on another machine" in text
    assert "seed 0" not in text
    _cell(folder, 1, "none")
    write_report(folder)
    assert "another machine" not in (folder / "table.md").read_text(encoding="utf-8")


def test_a_second_seed_is_averaged_and_varied(folder: Path) -> None:
    _cell(folder, 1, "none")
    _cell(folder, 1, "window", more=2)
    write_report(folder)
    gains = _lines(folder, "window")[0]
    assert gains[1:4] == ["2", "seeds, images", "+1.000 +2.000"]
    assert gains[4] == "25.000"
    assert gains[5].startswith("+1.500 [-4.")  # of two that differ the t distribution knows little
    assert "ONE SEED" not in (folder / "table.md").read_text(encoding="utf-8")


def test_what_was_not_measured_is_said_not_to_be(folder: Path) -> None:
    _cell(folder, 0, "channel", more=1)
    write_report(folder)
    assert _lines(folder, "channel")[1][3:] == ["–"] * 4
    _measured(folder, window=2)  # and the reference not
    write_report(folder)
    assert _lines(folder, "window")[1][3] == "2000 [1000, 4000]"
    assert _lines(folder, "window")[1][5:] == ["–", "–"]
    text = (folder / "costs.json").read_text()
    (folder / "costs.json").write_text(text.replace("0-window", "of another configuration"))
    write_report(folder)
    assert _lines(folder, "window")[1][3:] == ["–"] * 4
    (folder / "costs.json").unlink()
    write_report(folder)
    assert _lines(folder, "window")[1][3:] == ["–"] * 4
    assert "add cost=true to the" in (folder / "table.md").read_text(encoding="utf-8")
    for damaged in ('{"steps": [{}]}', "[]", text.replace('"median": 2', '"median": 0')):
        (folder / "costs.json").write_text(damaged)
        with pytest.raises(DataError, match=r"costs\.json is damaged .* cost=true"):
            write_report(folder)


def test_a_cell_that_diverged_hides_no_other_and_is_named(folder: Path) -> None:
    _cell(folder, 1, "none")
    _cell(folder, 1, "window", more=float("nan"))
    _cell(folder, 0, "channel", more=float("nan"))
    write_report(folder)
    text = (folder / "table.md").read_text(encoding="utf-8")
    assert (
        "photos: channel (seed 0, 8 of 8 images), window (seed 1, 8 of 8 images): no finite score"
        in text
    )
    assert "inf" not in text
    assert _lines(folder, "window")[0][1:6] == [
        "1",
        "images",
        "+1.000",
        "24.500",
        "+1.000 [+1.000, +1.000]",
    ]
    assert _lines(folder, "channel")[0][4] == "–"


def test_a_block_whose_seed_the_reference_lacks_is_not_compared(folder: Path) -> None:
    _cell(folder, 1, "channel", more=5)
    write_report(folder)
    assert _lines(folder, "channel")[0][5] == "–"


def test_without_the_reference_nothing_is_compared_and_this_is_said(folder: Path) -> None:
    (folder / "cells/0-none" / CELL).unlink()
    write_report(folder)
    assert "none is not finished" in (folder / "table.md").read_text(encoding="utf-8")
    assert _lines(folder, "window")[0][5] == "–"


def test_cells_of_other_images_are_not_compared(folder: Path) -> None:
    _cell(folder, 0, "channel", seen="y")
    with pytest.raises(DataError, match="0-channel and 0-none were scored on other images"):
        write_report(folder)


@pytest.mark.long
def test_the_page_is_escaped_and_has_the_same_numbers(folder: Path) -> None:
    write_report(folder)
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "Two &lt;blocks&gt;" in page
    assert "One is better." in page
    assert "[+1.000, +1.000]" in page
    written = [folder / name for name in ("page.html", "table.md", "cells.csv")]
    first = [file.read_bytes() for file in written]
    write_report(folder)
    assert first == [file.read_bytes() for file in written]


def test_the_list_of_cells_is_a_table_for_programs(folder: Path) -> None:
    write_report(folder)
    with (folder / "cells.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photos psnr"] for row in rows] == ["24.5", "23.5"]


@pytest.mark.long
def test_the_tables_of_our_comparison_are_those_of_its_cells(tmp_path: Path) -> None:
    ours = shutil.copytree(ROOT / "experiments/attention_comparison", tmp_path / "ours")
    write_report(ours)
    for name in ("table.md", "cells.csv"):
        committed = ROOT / "experiments/attention_comparison" / name
        assert (ours / name).read_bytes() == committed.read_bytes(), "python -m src.compare …"


def test_without_cells_nothing_is_written_and_this_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "comparison.yaml").write_text(TEXT, encoding="utf-8")
    write_report(tmp_path)
    said = capsys.readouterr().err
    assert "0 of 6 are finished" in said
    assert "Nothing is written" in said
    assert [file.name for file in tmp_path.iterdir()] == ["comparison.yaml"]


def test_rows_stand_in_the_order_of_gains_whatever_seeds_a_block_has(folder: Path) -> None:
    """Seed 1 scores 5 dB more in every block, so that the reference has the best score."""
    _cell(folder, 1, "none", more=5)
    _cell(folder, 0, "channel", more=-1)
    write_report(folder)
    lines = (folder / "table.md").read_text(encoding="utf-8").splitlines()
    named = [line.split("|")[1].strip() for line in lines if line.count(" | ") > 2]
    assert named[2:5] == ["window", "none", "channel"]
    assert _lines(folder, "none")[0][4] == "26.000"
    assert _lines(folder, "window")[0][4] == "24.500"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.csv", None),
        ("metrics.csv", b"\x00\xff"),
        ("cell.json", b""),
        ("cell.json", b"{}"),
        ("metrics.csv", b"step,val/photos/psnr\n49,much\n"),
        ("results.json", b'{"schema'),
        ("results.json", '"psnr":"20"'),
        ("cell.json", '"flops":"2e9"'),
        ("cell.json", '"steps":[]'),
    ],
)
def test_a_cell_with_a_bad_file_is_left_out_and_named(
    folder: Path, name: str, content: bytes | str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "cells/0-window" / name
    if content is None:
        file.unlink()
    elif isinstance(content, str):  # one value of another type
        key = content.partition(":")[0]
        old = "".join(file.read_text("utf-8").split())
        new = re.sub(rf"{key}:[^,}}]+", content, old)
        assert new != old
        file.write_text(new, "utf-8")
    else:
        file.write_bytes(content)
    write_report(folder)
    said = "".join(capsys.readouterr().err.split())
    assert "cells/0-window" in said
    assert "1of6arefinished" in said
    text = (folder / "table.md").read_text(encoding="utf-8")
    assert "- 0-window" in text
    assert "Only the reference is finished" in text


@pytest.mark.parametrize(
    "now",
    [
        TEXT.replace("window: model.blocks=7", "window: model.blocks=5"),
        TEXT.replace("[50,50]", "[25,25]"),
        TEXT.replace('fixed: ["degradation.sigma=[50,50]"]', "fixed: []"),
        TEXT.replace(
            "window: model.blocks=7, channel: model.blocks=8",
            "window: model.blocks=8, channel: model.blocks=7",
        ),
    ],
)
def test_cells_whose_words_are_others_now_do_not_count(folder: Path, now: str) -> None:
    (folder / "comparison.yaml").write_text(now, encoding="utf-8")
    write_report(folder)
    if (folder / "table.md").is_file():
        assert _lines(folder, "window") == []


def test_where_less_is_better_the_least_is_first(folder: Path) -> None:
    _cell(folder, 0, "channel", more=-1)
    for file in folder.glob("cells/*/results.json"):
        file.write_text(file.read_text("utf-8").replace('"psnr', '"lpips'), "utf-8")
    for file in folder.glob("cells/*/metrics.csv"):
        file.write_text(file.read_text("utf-8").replace("/psnr", "/lpips"), "utf-8")
    write_report(folder)
    lines = (folder / "table.md").read_text(encoding="utf-8").splitlines()
    named = [line.split("|")[1].strip() for line in lines if line.count(" | ") > 2]
    assert named[2:5] == ["channel", "none", "window"]
    assert any("lpips (less is better) gain" in line for line in lines)
