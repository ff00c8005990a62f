"""Published rows and ours, side by side."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from src.app.config.check import Request
from src.app.config.options import options_of, register_resolvers
from src.commands.report.published import Paper, missing, read_papers
from src.commands.report.tables import lines_of, render_tables
from src.core.errors import DataError, UntrustedError
from src.core.paths import ROOT
from tests.support.compose import check
from tests.support.evaluations import GAUSSIAN, PROTOCOL, write_evaluation

EXPERIMENTS = ROOT / "experiments"
REFERENCE = ROOT.parent / "shared/reference/tables.json"
SETS = {"BSD68": "cbsd68", "B100": "bsd100"}

TABLE = """
paper: A & B
arxiv: "1"
tables:
  - name: denoise
    title: Denoising
    source: Table 1
    protocol: denoise_rgb_clip8
    degradation: gaussian
    metrics: [psnr]
    notes: [One note.]
    rows:
      - {method: Old, dataset: photos, condition: {sigma: 25}, psnr: 29.00}
      - {method: New, dataset: photos, condition: {sigma: 25}, psnr: 30.00, recipe: p/new_s25}
      - {method: Mid, dataset: photos, condition: {sigma: 25}, psnr: 29.50}
"""


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/table.yaml").write_text(TABLE)
    return tmp_path


def _paper(experiments: Path) -> Paper:
    (paper,) = read_papers(experiments, None)
    return paper


def _lines(experiments: Path) -> dict[tuple[str, str], tuple[str, int]]:
    (table,) = _paper(experiments).tables
    return {
        (line.method, line.kind): (line.cells[0][0].text, line.cells[0][0].mark)
        for line in lines_of(table)
    }


def test_a_row_without_a_record_says_not_run(experiments: Path) -> None:
    lines = _lines(experiments)
    assert lines["New", "ours"] == ("not run", 0)
    assert ("New", "difference") not in lines
    assert ("Old", "ours") not in lines
    ((record, commands),) = missing(_paper(experiments))
    assert record == "new_s25"
    assert "src.train experiment=p/new_s25" in commands


def test_best_and_second_best_are_marked(experiments: Path) -> None:
    lines = _lines(experiments)
    assert lines["New", "published"] == ("30.00", 1)
    assert lines["Mid", "published"] == ("29.50", 2)
    assert lines["Old", "published"] == ("29.00", 0)


def test_of_a_distance_the_smallest_is_best(experiments: Path) -> None:
    text = TABLE.replace("psnr", "lpips").replace(": 29.00", ": 0.2").replace(": 30.00", ": 0.4")
    (experiments / "p/table.yaml").write_text(text.replace(": 29.50", ": 0.3"))
    lines = _lines(experiments)
    assert lines["Old", "published"] == ("0.2000", 1)
    assert lines["Mid", "published"] == ("0.3000", 2)


def test_ours_stands_beside_the_published_value_with_the_difference(experiments: Path) -> None:
    write_evaluation(experiments / "p/results/new_s25/photos", {"a": 30.4, "b": 30.1})
    lines = _lines(experiments)
    assert lines["New", "ours"] == ("30.25", 1)
    assert lines["New", "difference"] == ("+0.25", 0)
    assert lines["New", "published"] == ("30.00", 2)
    assert not list(missing(_paper(experiments)))


def test_a_record_of_another_set_does_not_fill_the_row(experiments: Path) -> None:
    write_evaluation(experiments / "p/results/new_s25", {"a": 30.4}, benchmark="others")
    assert _lines(experiments)["New", "ours"] == ("not run", 0)


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"protocol": {"name": "denoise_rgb_float", "version": 1}}, "its row needs denoise_rgb_c"),
        ({"degradation": {"_target_": "a.b.C", "sigma": [50, 50]}}, "its row needs 25"),
        ({"protocol": {**PROTOCOL, "channels": "y", "border": 4}}, r"border=4.*channels=y"),
        ({"inference": {"ensemble": True}}, r"inference.ensemble=True; its row needs False"),
        ({"inference": {"tiling": "feathered"}}, r"inference.tiling=feathered; .*needs paper"),
        ({"degradation": {**GAUSSIAN, "clip8": False}}, r"clip8=False; its row needs True"),
        (
            {"degradation": {**GAUSSIAN, "_target_": "a.b.C"}},
            r"degradation._target_=a.b.C; its row",
        ),
    ],
    ids=[
        "protocol",
        "noise",
        "steps of the protocol",
        "ensemble",
        "tiles",
        "rounding of the noise",
        "kind of noise",
    ],
)
def test_a_record_that_does_not_belong_to_its_row_is_refused(
    about: dict[str, Any], says: str, experiments: Path
) -> None:
    text = (experiments / "p/table.yaml").read_text()
    needed = "clip8\n    inference: {tiling: paper}\n"
    if "inference" in about:
        (experiments / "p/table.yaml").write_text(text.replace("clip8\n", needed))
    write_evaluation(experiments / "p/results/new_s25", {"a": 30.4}, **about)
    with pytest.raises(DataError, match=says):
        _paper(experiments)


def test_a_row_of_a_known_set_takes_its_images_and_no_others(experiments: Path) -> None:
    text = (experiments / "p/table.yaml").read_text()
    (experiments / "p/table.yaml").write_text(text.replace("photos", "set5"))
    write_evaluation(experiments / "p/results/new_s25", {"a": 30.4}, benchmark="set5")
    with pytest.raises(DataError, match="set=not recorded; its row needs set5"):
        _paper(experiments)


@pytest.mark.long
@pytest.mark.parametrize("edited", ["set", "mean", "restored", "border"])
def test_a_record_edited_by_hand_does_not_become_its_row(edited: str, tmp_path: Path) -> None:
    shutil.copytree(EXPERIMENTS / "csnln", tmp_path / "csnln")
    file = tmp_path / "csnln/results/bicubic_x2/set5/results.json"
    record = json.loads(file.read_text())
    board = record["benchmarks"]["set5"]
    if edited == "set":
        board["pixels"]["baby"] = board["pixels"]["bird"]
    elif edited == "mean":
        board["mean"]["psnr"] = 99.0
    elif edited == "restored":
        del board["restored"]["baby"]
    else:
        record["degradation"]["border"] = "mirror"
    file.write_text(json.dumps(record))
    if edited == "mean":
        (paper,) = read_papers(tmp_path, None)
        assert paper.tables[1].rows[0].ours["psnr"] == pytest.approx(33.66, abs=0.02)
    else:
        with pytest.raises(DataError, match="its row needs"):
            read_papers(tmp_path, None)


def test_markdown_latex_and_html_mark_and_escape(experiments: Path) -> None:
    paper = _paper(experiments)
    assert "| σ 25 | New | **30.00** |" in render_tables(paper, "md")
    latex = render_tables(paper, "tex")
    assert r"& New & \textbf{30.00} \\" in latex
    assert latex.count(r"$\sigma$ 25 &") == 1
    assert r"denoise\_rgb\_clip8" in latex
    page = render_tables(paper, "html")
    assert "<h1>A &amp; B</h1>" in page
    assert "<b>30.00</b>" in page


def test_an_unknown_paper_is_met_with_the_known_ones(experiments: Path) -> None:
    with pytest.raises(DataError, match=r"Allowed: p|Did you mean p"):
        read_papers(experiments, ["q"])


@pytest.mark.long
@pytest.mark.parametrize("name", [file.parent.name for file in EXPERIMENTS.glob("*/table.yaml")])
def test_the_committed_table_is_what_its_rows_and_records_say(name: str) -> None:
    (paper,) = read_papers(EXPERIMENTS, [name])
    held = (paper.folder / "table.md").read_text(encoding="utf-8")
    assert held == render_tables(paper, "md"), "run: python -m src.report"


@pytest.mark.long
@pytest.mark.parametrize("name", ["panet", "csnln"])
def test_every_recipe_and_command_of_a_row_exists(name: str) -> None:
    register_resolvers(claim=False)
    (paper,) = read_papers(EXPERIMENTS, [name])
    rows = [row for table in paper.tables for row in table.rows if row.record]
    assert {row.recipe for row in rows if row.recipe} <= set(options_of("experiment"))
    for command in {row.command for row in rows if row.command}:
        check(Request("evaluate", tuple(command.split())))


def _published(node: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], float]:  # noqa: ANN401
    """Return every number below a node of the reference, by the keys that lead to it."""
    if isinstance(node, dict):
        parts = [_published(value, (*path, key)) for key, value in node.items()]
        return {key: value for part in parts for key, value in part.items()}
    return {path: node} if isinstance(node, int | float) else {}


@pytest.mark.parametrize(
    ("paper", "table", "reference"),
    [
        ("panet", "denoise_color", "panet_dn_rgb"),
        ("panet", "demosaic", "panet_demosaic"),
        ("panet", "dejpeg", "panet_car"),
        ("panet", "super_resolution", "panet_sr"),
        ("csnln", "super_resolution", "csnln_sr"),
        ("csnln", "super_resolution_reference", "rnan_sr_reference_rows"),
    ],
)
def test_the_rows_are_those_that_the_papers_print(paper: str, table: str, reference: str) -> None:
    if not REFERENCE.is_file():
        pytest.skip("the transcribed tables lie beside the checkout, not in it")
    printed = _published(json.loads(REFERENCE.read_text())[reference]["rows"])
    tables = yaml.safe_load((EXPERIMENTS / paper / "table.yaml").read_text())["tables"]
    (held,) = [item for item in tables if item["name"] == table]
    ours = {}
    for row in held["rows"]:
        condition = "".join(str(level) for level in row.get("condition", {}).values())
        for metric in held["metrics"]:
            if metric in row:
                ours[row["method"], row["dataset"], condition, metric] = row[metric]
    theirs = {}
    for path, value in printed.items():
        words = [SETS.get(word, word) for word in path]
        metric = words.pop() if words[-1] in {"psnr", "ssim"} else "psnr"
        scale = words.pop(0) if words[0] in {"x2", "x3", "x4"} else ""
        condition = scale.removeprefix("x") or (words[2] if len(words) > 2 else "")
        theirs[words[0], words[1].lower(), condition, metric] = value
    assert ours == theirs


def test_a_table_from_elsewhere_names_a_protocol_of_the_configuration(
    experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXEMPLAR_TEST_SECRET", "the-secret-of-this-machine")
    (experiments / "x.yaml").write_text("name: ${oc.env:EXEMPLAR_TEST_SECRET}\n_target_: x\n")
    write_evaluation(experiments / "p/results/new_s25", {"x": 30.0}, benchmark="photos")
    elsewhere = "../" * 20 + str(experiments / "x")[1:]
    (experiments / "p/table.yaml").write_text(TABLE.replace("denoise_rgb_clip8", elsewhere))
    with pytest.raises(DataError, match="there is no protocol") as refused:
        read_papers(experiments, None)
    assert "secret" not in str(refused.value)


def test_a_table_that_grows_when_it_is_read_is_refused(experiments: Path) -> None:
    (experiments / "p/table.yaml").write_text("a: " + "[" * 5000)
    with pytest.raises(UntrustedError, match="larger than any"):
        read_papers(experiments, None)
