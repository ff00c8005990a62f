"""`python -m src.benchmark`: the forms agree, the record is whole, what cannot work is refused."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import torch
from omegaconf import OmegaConf

from src.app.measure import count_flops
from src.commands.benchmark.cases import input_size
from src.commands.benchmark.command import benchmark
from src.commands.benchmark.forms import USUAL, block_of, bytes_of_scores
from src.core.errors import ConfigError
from src.core.paths import ROOT
from src.ops.attention.cpp.build import load
from src.ops.attention.dense import dense_patch_attention, per_sample_patch_attention
from tests.support.compose import compose_config
from tests.support.runs import command

SMALL = ("runs=2", "warmup=0", "channels=8", "device=cpu", "threads=1")
MODEL = ("model=panet_tiny", "model.blocks=2", "model.channels=8", "model.unshuffle=1")
needs_compiler = pytest.mark.skipif(
    load("patch_attention") is None, reason="this machine has no C++ compiler"
)


def run(folder: Path, *overrides: str) -> list[dict[str, str]]:
    words = (*SMALL, f"output={folder}", *overrides)
    benchmark(compose_config(*words, config_name="benchmark"))
    (file,) = folder.rglob("*.csv")
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parity
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_papers_form_equals_the_plain_form(scale: int) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = [(6, 5), (4, 3)]
    keys = [torch.randn(2, 3, *s, generator=generator, dtype=torch.float64) for s in sizes]
    values = [
        torch.randn(2, 4, scale * h, scale * w, generator=generator, dtype=torch.float64)
        for h, w in sizes
    ]
    query = torch.randn(2, 3, 6, 5, generator=generator, dtype=torch.float64)
    papers = per_sample_patch_attention(query, keys, values, scale=scale)
    plain = dense_patch_attention(query, keys, values, scale=scale)
    torch.testing.assert_close(papers, plain, rtol=0, atol=1e-12)


@pytest.mark.long
@needs_compiler
def test_all_forms_are_measured_side_by_side_and_agree(tmp_path: Path) -> None:
    rows = run(tmp_path, "sizes=[9,12]", "batch=2")
    assert [row["form"] for row in rows] == 4 * list(USUAL)  # two passes, two sizes
    assert {(row["kind"], row["side"]) for row in rows} == {
        (kind, side) for kind in ("forward", "training") for side in ("9", "12")
    }
    for row in rows:
        assert float(row["lower"]) <= float(row["median"]) <= float(row["upper"])
        assert int(row["flops"]) > 0
        assert row["form"] == "papers" or float(row["difference"]) < 1e-5
    assert len({row["parameters"] for row in rows}) == 1


@pytest.mark.long
def test_the_record_has_a_plot_and_says_where_and_when_without_naming_folders(
    tmp_path: Path,
) -> None:
    run(tmp_path, "sizes=[6,8]", "forms=[dense,local]", "name=mine")
    (folder,) = tmp_path.iterdir()
    assert folder.name.endswith(torch.__version__.partition("+")[0])
    assert {file.name for file in folder.iterdir()} == {"mine.csv", "mine.svg", "mine.json"}
    about = json.loads((folder / "mine.json").read_text())
    assert {"date", "commit", "device", "torch", "threads", "precision"} <= about.keys()
    assert about["threads"] == 1
    assert str(tmp_path) not in (folder / "mine.json").read_text()
    drawn = ET.parse(folder / "mine.svg").getroot()  # noqa: S314  our own file
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"dense", "local"} <= set(words)


def test_without_matplotlib_the_figures_are_kept_and_it_is_said_how_to_get_the_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.commands.benchmark.command.find_spec", lambda _: None)
    run(tmp_path, "sizes=[6]", "forms=[dense]", "passes=[forward]", "name=mine")
    assert {file.name for file in tmp_path.rglob("mine.*")} == {"mine.csv", "mine.json"}
    assert "pip install 'exemplar[plot]'" in capsys.readouterr().out


@pytest.mark.long
def test_at_80_columns_no_figure_of_the_table_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = run(tmp_path, "sizes=[6]", "forms=[dense,local]", "passes=[forward]")
    table = capsys.readouterr().out.partition("Written")[0].splitlines()
    assert max(map(len, table)) <= 80
    for row in rows:
        figures = " ".join(line for line in table if f"forward  {row['form']} " in line).split()
        assert len(figures) == 2 * 3 + 7 + (row["form"] == "local")  # the keys in two pieces


@pytest.mark.long
def test_a_training_step_takes_the_forms_into_the_network(tmp_path: Path) -> None:
    rows = run(tmp_path, *MODEL, "what=training", "sizes=[8]", "forms=[papers,plain,local]")
    assert [row["form"] for row in rows] == ["papers", "chunked", "local"]
    assert all(float(row["difference"]) < 1e-5 for row in rows[1:])


@pytest.mark.long
def test_any_model_is_measured_as_it_is_configured(tmp_path: Path) -> None:
    words = ("what=model", "model=dncnn", "sizes=[8]")
    (row,) = run(tmp_path, *words, "precision=bf16")
    assert row["form"] == "as_configured"
    assert row["kind"] == "forward"
    assert int(row["parameters"]) > 0


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("what=modle",), "what=modle: Did you mean model"),
        (("precision=bfloat16",), "precision=bfloat16: Did you mean bf16"),
        (("forms=[dens]",), "no 'dens'. Did you mean dense"),
        (("forms=[]",), "must be a list"),
        (("forms=native",), "must be a list"),
        (("sizes=[a]",), r"sizes\[0\]=a must be a whole number"),
        (("precision=float16",), "precision=float16"),
        (("passes=[backward]",), "passes: backward"),
        (("runs=0",), "runs=0 must be a whole number from 1"),
        (("sizes=[8,0]",), r"sizes\[1\]=0"),
        (("sizes=[]",), "sizes"),
        (("threads=0",), "threads=0"),
        (("what=model", "model=dncnn", "forms=[native,dense]", "sizes=[8]"), "as_configured"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    overrides: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=says):
        run(tmp_path, *overrides)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_form_that_would_not_fit_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = bytes_of_scores("dense", "forward", 1, 16)
    monkeypatch.setattr("src.commands.benchmark.command.free_bytes", lambda _: needed)
    words = ("sizes=[16]", "forms=[dense,local]", "passes=[forward]")
    assert [row["form"] for row in run(tmp_path, *words)] == ["local"]
    assert "dense left out at 16²" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux")
def test_peak_memory_is_what_a_call_holds_at_once_also_if_it_gives_it_back() -> None:
    # In a process of its own, with the settings of our commands, which keep what is freed.
    code = (
        "from src.core.heap import given_back_at_once\n"
        "from src.app.processes.process import prepare_process\n"
        "prepare_process()\n"
        "import torch\n"
        "from src.app.measure import peak_bytes\n"
        "size = 2**25\n"
        "def block(size):\n"
        "    return torch.ones(size, dtype=torch.uint8)\n"
        "def in_turn():\n"
        "    filled = [block(60000) for _ in range(64)]  # holes; then the heap grows\n"
        "    first, small = block(size), block(60000)  # which lies behind the first\n"
        "    del first\n"
        "    return block(size + 2**20), small, filled  # larger than the hole\n"
        "with given_back_at_once():\n"
        "    block(3 * size)  # an earlier, higher peak that must not count\n"
        "    print(peak_bytes(in_turn, torch.device('cpu')) / size)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 1 < float(done.stdout) < 1.2


@needs_compiler
def test_products_within_the_kernel_are_counted() -> None:
    features = torch.zeros(1, 8, 6, 5)
    block = block_of("native", 8)
    keys = 6 * 5 + 5 * 4 + 4 * 4 + 4 * 3 + 3 * 3
    embeddings = 2 * (30 * 8 * 4 + keys * 8 * (4 + 8))
    with torch.no_grad():
        assert count_flops(lambda: block(features)) == 2 * 30 * keys * (4 + 8) + embeddings


def test_help_answers_without_torch() -> None:
    code = (
        "import runpy, sys; sys.argv = ['benchmark', '--help']\n"
        "try:\n    runpy.run_module('src.benchmark', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "python -m src.benchmark what=" in done.stdout
    assert "COMMON OVERRIDES" in done.stdout


@pytest.mark.parametrize(
    ("given", "scale", "size"),
    [(48, 4, (48, 48)), ([180, 320], 4, (180, 320)), ("1280x720", 4, (180, 320)),
     ("1280×720", 3, (240, 426)), ("1280x720", 1, (720, 1280))],
)  # fmt: skip
def test_a_size_is_a_square_a_pair_or_that_of_the_output(
    given: object, scale: int, size: tuple[int, int]
) -> None:
    assert input_size(OmegaConf.create([given])[0], scale) == size


@pytest.mark.parametrize("given", ["720p", 0, [3], [4, -1], "4x1"])
def test_a_size_that_is_none_of_these_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="1280x720"):
        input_size(OmegaConf.create([given])[0], 2)


@pytest.mark.long
def test_each_job_of_a_sweep_has_a_record_of_its_own(tmp_path: Path) -> None:
    words = ("what=model", "runs=1", "warmup=0", "device=cpu", "io.scale=2", "sizes=[16x24]")
    swept = ("-m", "model=edsr_tiny,bicubic", f"output={tmp_path}", f"hydra.sweep.dir={tmp_path}/s")
    done = command("benchmark", *words, *swept)
    assert done.code == 0, done.err
    files = sorted(tmp_path.glob("*/*.csv"))
    records = [file for file in files if "sweep" not in file.name]
    assert [file.name for file in records] == ["model_0_edsr_tiny.csv", "model_1_bicubic.csv"]
    row = next(csv.DictReader(records[0].read_text().splitlines()))
    assert (row["side"], row["width"]) == ("12", "8")
