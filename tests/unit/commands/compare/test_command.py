"""What `src.compare` says when it is refused."""

import json
import shutil
from pathlib import Path

import pytest

from src.core.paths import CONF_DIR
from tests.support.runs import TINY, command

FACTORS = "attention: {{channel: model/attention={option}, none: model/attention=none}}"


def _asked(folder: Path, option: str) -> None:
    factors = FACTORS.format(option=option)
    text = f"title: Typed wrong\nfixed: {json.dumps(TINY)}\nfactors:\n  {factors}\n"
    (folder / "comparison.yaml").write_text(text + "reference: {attention: none}\n")


@pytest.mark.long
def test_a_refused_comparison_counts_no_cells_of_an_earlier_start(tmp_path: Path) -> None:
    _asked(tmp_path, "channel")
    before = [{"folder": "none-1", "levels": {"attention": "none"}, "words": [], "sha256": ""}]
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells/cells.json").write_text(json.dumps(before))
    assert "0 of 2 are finished" in command("compare", str(tmp_path), "run=false").err
    _asked(tmp_path, "chanel")
    refused = command("compare", str(tmp_path))
    assert refused.code == 2
    assert "Did you mean channel" in refused.err
    assert "are finished" not in refused.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run=maybe",), "run=maybe is not possible; it must be run=true | run=false"),
        (("run=false", "trainer.max_steps=3"), "runs nothing: leave trainer.max_steps=3 out"),
        (("cost=yes",), "cost=yes is not possible; it must be cost=true | cost=false"),
        (("cost=true", "cells=0-*", "data.batch_size=2"), "leave cells=0-* data.batch_size=2 out"),
        (("paths.output_dir=mine",), "a cell has a folder of its own"),
        (("hydra.sweep.dir=mine",), "a cell has a folder of its own"),
    ],
)
def test_words_that_would_say_nothing_are_refused(
    words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    _asked(tmp_path, "channel")
    refused = command("compare", str(tmp_path), *words)
    assert refused.code == 2
    assert says in refused.err


@pytest.mark.long
def test_costs_are_measured_before_any_cell_is_trained(tmp_path: Path) -> None:
    _asked(tmp_path, "pyramid")
    measured = command("compare", str(tmp_path), "cost=true", "trainer.accelerator=cpu")
    assert measured.code == 0, measured.err
    assert "0 of 2 are finished" in measured.err
    steps = json.loads((tmp_path / "costs.json").read_text())["steps"]
    assert [step["name"] for step in steps] == ["channel", "none"]
    assert all(0 < step["lower"] <= step["median"] <= step["upper"] for step in steps)
    assert all(step["peak_bytes"] > 0 for step in steps)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
def test_a_compiled_network_of_half_precision_has_a_cost(tmp_path: Path) -> None:
    _asked(tmp_path, "channel")
    file = tmp_path / "comparison.yaml"
    half = "fixed: [compile=true, trainer.precision=bf16-true, trainer.accelerator=cpu, "
    file.write_text(file.read_text().replace("fixed: [", half))
    measured = command("compare", str(tmp_path), "cost=true")
    assert measured.code == 0, measured.err
    assert len(json.loads((tmp_path / "costs.json").read_text())["steps"]) == 2


@pytest.mark.parametrize(
    ("option", "words", "says"),
    [
        ("window model.attention.window=-3", (), "channel: model: window=-3; a window has"),
        (
            "channel",
            ("trainer.accelerator=gpu",),
            "channel: trainer.accelerator=gpu with 1 devices a machine: CUDA sees 0",
        ),
        (
            "channel",
            ("trainer.accelerator=tpu",),
            "channel: trainer.accelerator=tpu is not possible",
        ),
        ("channel trainer.accumulate_grad_batches=3", (), "take a multiple of 3, for example"),
        ("channel data.batch_size=0", (), "channel: data.batch_size=0 must be a whole number"),
        ("channel data.patch_size=1", (), "channel: data.patch_size=1: PANet takes multiples of 2"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(
    option: str, words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    _asked(tmp_path, option)
    text = (tmp_path / "comparison.yaml").read_text()
    split = text.replace(
        f"model/attention={option}", f"[model/attention={', '.join(option.split())}]"
    )
    (tmp_path / "comparison.yaml").write_text(split)
    refused = command("compare", str(tmp_path), "cost=true", *words)
    assert refused.code != 0
    assert says in refused.err
    assert "Traceback" not in refused.err
    assert not (tmp_path / "costs.json").exists()


@pytest.mark.long
def test_a_block_from_outside_the_repository_is_compared(tmp_path: Path) -> None:
    own = tmp_path / "conf/model/attention/channel_of_mine.yaml"
    own.parent.mkdir(parents=True)
    shutil.copyfile(CONF_DIR / "model/attention/channel.yaml", own)
    _asked(tmp_path, "channel_of_mine")
    path = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    composed = command("compare", str(tmp_path), path, "cells=nonesuch")  # nothing is trained
    assert "cells=nonesuch fits no cell. There are: channel, none." in composed.err
