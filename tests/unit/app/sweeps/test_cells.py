"""The cells of a comparison: what they are called, and which of them are to be run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.utils import instantiate

from src.app.config.options import register_resolvers
from src.app.sweeps.cell_files import COMPARED
from src.app.sweeps.cells import cells_of, identity_of, missing_jobs
from src.app.sweeps.comparison import read_comparison
from src.app.sweeps.plan import checked_jobs
from src.core.errors import ConfigError, ExemplarError, UntrustedError
from src.core.paths import CONF_DIR, ROOT

TEXT = """
title: Two blocks
fixed: [task=denoise, data=folder, trainer.max_steps=10]
factors:
  seed: {0: seed=0, 1: seed=1}
  attention: {window: model/attention=window, none: [model/attention=none]}
reference: {attention: none}
"""
OURS = ROOT / "experiments/attention_comparison"


@pytest.fixture
def hydra() -> Iterator[None]:
    register_resolvers(claim=False)
    with initialize_config_dir(str(CONF_DIR), version_base="1.3", job_name="train"):
        yield


def _finish(cell: Path) -> None:
    cell.mkdir()
    for name in COMPARED:
        (cell / name).write_text("{}")


def _comparison(folder: Path, text: str = TEXT) -> Path:
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.long
@pytest.mark.usefixtures("hydra")
def test_a_cell_is_known_by_what_decides_its_result_and_not_by_where_it_is_made(
    tmp_path: Path,
) -> None:
    comparison = read_comparison(_comparison(tmp_path))

    def names(*words: str) -> list[str]:
        cells = cells_of(comparison, "train", [*comparison.fixed, *words])
        return [cell.folder.name for cell in cells]

    here = names("data.train_dir=a/photos", "trainer.accelerator=cpu")
    assert len({*here}) == 4
    assert here == names("data.train_dir=b/photos", "data.workers=7", "trainer.accelerator=auto")
    assert not {*here} & {*names("data.train_dir=b/others", "trainer.accelerator=cpu")}
    assert not {*here} & {*names("data.train_dir=a/photos", "trainer.max_steps=11")}


def test_an_option_that_has_come_since_and_is_null_leaves_a_cell_what_it_was() -> None:
    before = {"model": {"blocks": 8}}
    assert identity_of({"model": {"blocks": 8, "window": None}}) == identity_of(before)
    assert identity_of({"model": {"blocks": 8, "window": 9}}) != identity_of(before)


@pytest.mark.long
@pytest.mark.usefixtures("hydra")
def test_a_new_seed_or_block_leaves_the_finished_cells_alone(tmp_path: Path) -> None:
    folder = _comparison(tmp_path)
    words = read_comparison(folder).fixed
    first = missing_jobs(folder, "train", words)
    assert len(first) == 4
    for row in json.loads((folder / "cells/cells.json").read_text()):
        _finish(folder / "cells" / row["folder"])
    assert missing_jobs(folder, "train", words) == []
    more = TEXT.replace("1: seed=1}", "1: seed=1, 2: seed=2}").replace(
        "{window:", "{channel: model/attention=channel, window:"
    )
    new = missing_jobs(_comparison(folder, more), "train", words)
    assert len(new) == 9 - 4
    assert all("seed=2" in job or "model/attention=channel" in job for job in new)


@pytest.mark.long
@pytest.mark.usefixtures("hydra")
def test_cells_are_run_by_patterns_of_their_names(tmp_path: Path) -> None:
    folder = _comparison(tmp_path)
    words = read_comparison(folder).fixed
    some = missing_jobs(folder, "train", words, ["1-*", "*-none"])
    assert ["seed=0" in job for job in some] == [True, False, False]
    assert len(json.loads((folder / "cells/cells.json").read_text())) == 4  # the others are known
    with pytest.raises(ConfigError, match=r"cells=2-\* fits no cell. There are: 0-window, 0-none"):
        missing_jobs(folder, "train", words, ["1-*", "2-*"])


@pytest.mark.long
@pytest.mark.usefixtures("hydra")
def test_a_cell_is_found_again_when_its_level_has_another_name(tmp_path: Path) -> None:
    folder = _comparison(tmp_path)
    words = read_comparison(folder).fixed
    missing_jobs(folder, "train", words)
    done = json.loads((folder / "cells/cells.json").read_text())[0]["folder"]
    assert done.startswith("0-window-")
    _finish(folder / "cells" / done)
    renamed = TEXT.replace("{window:", "{swin:")
    assert len(missing_jobs(_comparison(folder, renamed), "train", words)) == 3
    first = json.loads((folder / "cells/cells.json").read_text())[0]
    assert (first["folder"], first["levels"]["attention"]) == (done, "swin")
    (folder / "cells" / done / "results.json").unlink()
    assert len(missing_jobs(folder, "train", words)) == 4  # it is not finished any more


@pytest.mark.long
@pytest.mark.usefixtures("hydra")
def test_what_another_comparison_has_finished_is_taken_over(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = _comparison(tmp_path / "first")
    words = read_comparison(first).fixed
    missing_jobs(first, "train", words)
    for row in json.loads((first / "cells/cells.json").read_text())[:3]:
        _finish(first / "cells" / row["folder"])
    (first / "cells" / row["folder"] / "cell.json").write_text('{"of": "the first"}')
    begun = _comparison(tmp_path / "second", TEXT.replace("{window:", "{swin:"))
    known = {job[-1] for job in missing_jobs(begun, "train", words)}
    swin = next(name for name in known if "0-swin" in name).partition("=")[2]
    (begun / "cells" / swin).mkdir()
    left = missing_jobs(begun, "train", words, taken_from=[first])
    assert len(left) == 2  # the fourth, and the one that has begun here
    assert any(job[-1].endswith(swin) for job in left)
    taken = [file.read_text() for file in begun.glob("cells/*/cell.json")]
    assert sorted(taken) == ['{"of": "the first"}', "{}"]
    with pytest.raises(ConfigError, match="No such file or directory"):
        missing_jobs(begun, "train", words, taken_from=[tmp_path])


@pytest.mark.long
@pytest.mark.usefixtures("hydra")
def test_two_levels_of_the_same_words_are_refused(tmp_path: Path) -> None:
    folder = _comparison(tmp_path, TEXT.replace("1: seed=1", "1: seed=0"))
    with pytest.raises(ConfigError, match="0-window and 1-window are the same training"):
        missing_jobs(folder, "train", read_comparison(folder).fixed)


@pytest.mark.long
@pytest.mark.usefixtures("hydra")
def test_the_command_line_says_where_cells_are_trained_and_not_what_they_are(
    tmp_path: Path,
) -> None:
    folder = _comparison(tmp_path)
    words = [*read_comparison(folder).fixed, "resume=auto"]
    places = ["data.train_dir=/photos", "trainer.accelerator=cpu", "data.workers=3"]
    assert len(missing_jobs(folder, "train", [*words, *places])) == 4
    for word in ("trainer.max_steps=3", "trainer.max_time=00:00:00:02"):
        with pytest.raises(ConfigError, match=f"{word}: the cells would be others than"):
            missing_jobs(folder, "train", [*words, *places, word])
    open_folder, its_own = "[task=denoise", "[data.train_dir=a/photos, task=denoise"
    words = [*read_comparison(_comparison(folder, TEXT.replace(open_folder, its_own))).fixed]
    assert len(missing_jobs(folder, "train", [*words, "data.train_dir=/b/photos"])) == 4
    with pytest.raises(ConfigError, match="train_dir=/b/others: the cells would be others"):
        missing_jobs(folder, "train", [*words, "data.train_dir=/b/others"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title: Two blocks", "", "title is missing"),
        ("{attention: none}", "{attention: nothing}", "reference.attention=nothing is no level"),
        ("fixed:", "fixd: []\nfixed:", "no key 'fixd'"),
        ("{0: seed=0, 1: seed=1}", "[0, 1]", "factors.seed is no mapping"),
        ("{0: seed=0, 1: seed=1}", "{0: seed=0, 0: seed=1}", "the key 0 comes twice"),
        ("{0: seed=0, 1: seed=1}", "{0: seed=0, '0': seed=1}", "the key 0 comes twice"),
        ("{0: seed=0, 1: seed=1}", "{2024-13-41: seed=0}", "is no YAML"),
        ("fixed:", "1: 2\nfoo: 3\nfixed:", "no key '1'"),
        ("trainer.max_steps=10]", "resume=last]", "resume=last is of one start"),
        ("{attention: none}", "{}", "reference names no factor"),
        ("{attention: none}", "{seed: 0}", "reference names no factor"),
        ("seed: {0", "repeat: {0", "factors.repeat has other seeds. Call the factor seed"),
    ],
)
def test_a_file_that_is_no_comparison_is_refused(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=says):
        read_comparison(_comparison(tmp_path, TEXT.replace(old, new)))


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("seed=1", "'+callbacks.x={_target_: os.system}'", "'os.system'"),
        ("seed=1", "hydra.callbacks.x=1", "how Hydra works"),
        ("trainer.max_steps=10", "'seed=${oc.env:HOME}'", "interpolation"),
        ("trainer.max_steps=10", "paths.output_root=/tmp/x", "on the command line"),
        ("trainer.max_steps=10", "callbacks.x.dirpath=/tmp/x", "on the command line"),
        ("trainer.max_steps=10", "data.cache_dir=/tmp/x", "on the command line"),
        ("window: ", "../x: ", "no plain word"),
        ("Two blocks", "&a [*a]", "refers to a part of itself"),
    ],
)
def test_a_comparison_from_elsewhere_says_settings_alone(
    was: str, now: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ExemplarError, match=says):
        read_comparison(_comparison(tmp_path, TEXT.replace(was, now)))


def test_a_cell_that_is_a_link_is_refused_before_its_folder_is_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "comparison"
    (folder / "cells").mkdir(parents=True)
    (folder / "cells/0-none").symlink_to(tmp_path)
    with pytest.raises(UntrustedError, match="is a link"):
        read_comparison(_comparison(folder))


@pytest.mark.long
@pytest.mark.usefixtures("hydra")
def test_the_networks_of_our_comparison_have_equal_parameters_within_2_percent() -> None:
    comparison = read_comparison(OURS)
    chosen = [one for one in comparison.combinations() if one[0]["seed"] == "0"]
    configs = checked_jobs("train", [[*comparison.fixed, *words] for _, words in chosen])
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for (levels, _), config in zip(chosen, configs, strict=True):
        net = instantiate(config["model"], _convert_="all")
        of_task = counts.setdefault((levels["trunk"], levels["task"]), {})
        of_task[levels["attention"]] = sum(weights.numel() for weights in net.parameters())
    for of_task in counts.values():
        reference = of_task[comparison.reference["attention"]]
        assert {n: c for n, c in of_task.items() if abs(c / reference - 1) > 0.02} == {}
