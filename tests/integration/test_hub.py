"""Networks on a hub: there and back with equal bytes and scores; every fault ends in a sentence."""

import json
import logging
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml

from src.app.python import load
from src.core.errors import CheckpointError, ExemplarError
from src.core.files import sha256
from src.core.paths import ROOT
from src.weights.hub import described, hub_file, pinned
from src.weights.network_file import read_network, write_network
from tests.support.hub import TOKEN, Fault, Hub, serving
from tests.support.images import pixels, write
from tests.support.runs import TINY, Finished, command, process

pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")

NET = (ROOT / "tests/made_before/net.safetensors").read_bytes()
NAME = "hf://me/net"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("EXEMPLAR_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        yield served


def _predict(tmp_path: Path, name: str = NAME) -> Finished:
    source = write(tmp_path / "in/a.png", pixels(24, 32))
    return command("predict", f"checkpoint={name}", f"input={source}", f"output={tmp_path / 'out'}")


def _cached(tmp_path: Path) -> list[str]:
    folder = tmp_path / "cache/hub/models--me--net"
    return sorted(path.name for path in folder.rglob("*.safetensors"))


@pytest.mark.long
def test_a_network_of_the_hub_restores_as_the_file_does(hub: Hub, tmp_path: Path) -> None:
    hub.add("me/net", {"model.safetensors": NET, "README.md": b"a card"})
    done = _predict(tmp_path)
    assert done.code == 0, done.err
    there = (tmp_path / "out/a.png").read_bytes()
    (tmp_path / "net.safetensors").write_bytes(NET)
    assert _predict(tmp_path / "local", str(tmp_path / "net.safetensors")).code == 0
    assert (tmp_path / "local/out/a.png").read_bytes() == there
    assert not any("README" in asked for asked in hub.asked)  # nothing but the weights
    assert all("torch/" not in agent for agent in hub.agents)  # what is installed is not told


@pytest.mark.long
def test_a_process_of_its_own_loads_it_too(hub: Hub, tmp_path: Path) -> None:
    hub.add("me/net", {"model.safetensors": NET})
    source = write(tmp_path / "a.png", pixels(24, 32))
    started = process("predict", f"checkpoint={NAME}", f"input={source}", f"output={tmp_path}/out")
    _, said = started.communicate()
    assert started.returncode == 0, said
    assert (tmp_path / "out/a.png").is_file()


def test_a_second_start_loads_nothing_again(hub: Hub) -> None:
    hub.add("me/net", {"model.safetensors": NET})
    load(NAME)
    before = len([asked for asked in hub.asked if asked.startswith("GET /me")])
    load(NAME)
    assert len([asked for asked in hub.asked if asked.startswith("GET /me")]) == before == 1


def test_a_revision_is_what_it_was_after_the_branch_has_moved(hub: Hub, trained: Path) -> None:
    first = hub.add("me/net", {"model.safetensors": NET})
    other = trained.parent / "other.safetensors"
    command("export", f"checkpoint={trained}", f"output={other}", "overwrite=true")
    hub.add("me/net", {"model.safetensors": other.read_bytes()})
    old, new = load(f"{NAME}@{first}").state_dict(), load(NAME).state_dict()
    assert old.keys() != new.keys() or any(not torch.equal(old[key], new[key]) for key in old)


def test_without_a_connection_what_was_loaded_before_serves(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit = hub.add("me/net", {"model.safetensors": NET})
    before = load(NAME).state_dict()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match="hf://me/other: the hub cannot be reached"):
        load("hf://me/other")
    with caplog.at_level(logging.WARNING):
        after = load(NAME).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert f"no connection; commit {commit}" in caplog.text


def test_without_a_connection_a_name_stands_for_what_it_stood_for(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = hub.add("me/net", {"model.safetensors": NET})
    new = hub.add("me/net", {"model.safetensors": NET, "README.md": b"a card"})
    for name in (f"{NAME}@main", NAME, f"{NAME}@{old}"):  # the old commit is loaded last
        load(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name, commit in ((NAME, new), (f"{NAME}@main", new), (f"{NAME}@{old}", old)):
        assert described(name, hub_file(name))["revision"] == commit
    with pytest.raises(CheckpointError, match="cannot be reached"):
        load(f"{NAME}@v1.0")


@pytest.mark.parametrize("cache", ["snapshots/cache", "elsewhere/../cache", "link", "{}/own"])
def test_wherever_the_cache_is_commit_and_file_are_known(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)  # most are relative
    monkeypatch.setenv("EXEMPLAR_CACHE", cache.format(tmp_path))
    commit = hub.add("me/net", {"sub/model.safetensors": NET})
    assert pinned(NAME) == f"{NAME}@{commit}/sub/model.safetensors"


def test_a_link_in_the_cache_leads_to_no_removal(hub: Hub, tmp_path: Path) -> None:
    hub.add("me/net", {"model.safetensors": NET})
    load(NAME)
    (cached,) = (tmp_path / "cache").rglob("model.safetensors")
    cached.unlink()
    own = tmp_path / "thesis.txt"
    own.write_text("years of work")
    cached.symlink_to(own)
    with pytest.raises(CheckpointError, match="not what the hub states"):
        load(NAME)
    assert own.read_text() == "years of work"
    load(NAME)
    cached.unlink()
    cached.mkdir()
    with pytest.raises(CheckpointError, match="Is a directory"):
        load(NAME)


@pytest.mark.parametrize("tag", ["../../../../mine", "{}/mine"])
def test_a_hub_names_no_file_out_of_the_cache(hub: Hub, tmp_path: Path, tag: str) -> None:
    hub.add("me/net", {"model.safetensors": NET})
    hub.tag = tag.format(tmp_path)
    own = tmp_path / "mine"
    own.write_text("precious")
    with pytest.raises(CheckpointError, match="name out of the cache"):
        load(NAME)
    assert own.read_text() == "precious"
    assert not (tmp_path / "mine.lock").exists()


RESOLVE = "(GET|HEAD) /me/net/resolve/"
FAULTS = [
    pytest.param([Fault("GET /me/net/resolve/", cut=900, times=2)], None, id="cut, then whole"),
    pytest.param([Fault("GET /me/net/resolve/", cut=900)], "the connection broke", id="always cut"),
    pytest.param([Fault("GET /api", status=401)], "no right to it (status 401)", id="401"),
    pytest.param([Fault("GET /api", status=404, code="RepoNotFound")], "status 404", id="404"),
    pytest.param([Fault("GET /api", 404, code="RevisionNotFound")], "no such revision", id="rev"),
    pytest.param([Fault("GET /api", 403, code="GatedRepo")], "gives access on request", id="gated"),
    pytest.param([Fault("GET /api", status=429)], "too many requests", id="429 of the list"),
    pytest.param([Fault(RESOLVE, status=429)], "too many requests", id="429 of the file"),
    pytest.param([Fault("GET /api", status=500)], "the hub refuses", id="500"),
    pytest.param([Fault("GET /api", status=200)], "is no answer of a hub", id="another server"),
    pytest.param([Fault(RESOLVE, status=503, times=1)], None, id="503 once"),
]


@pytest.mark.parametrize(("faults", "words"), FAULTS)
def test_a_fault_of_the_hub_ends_in_a_sentence_and_leaves_nothing_half(
    hub: Hub, tmp_path: Path, faults: list[Fault], words: str | None
) -> None:
    hub.add("me/net", {"model.safetensors": NET})
    hub.faults = [Fault(**vars(fault)) for fault in faults]
    if words is not None:
        with pytest.raises(CheckpointError, match=re.escape(words)):
            load(NAME)
        assert _cached(tmp_path) == []
        hub.faults.clear()
    load(NAME)


@pytest.mark.parametrize("wrong", [NET[:-1] + b"x", NET[:-9], b""])
def test_other_bytes_than_the_hub_states_are_removed(
    hub: Hub, tmp_path: Path, wrong: bytes
) -> None:
    hub.add("me/net", {"model.safetensors": NET})
    hub.lies["model.safetensors"] = wrong
    with pytest.raises(CheckpointError, match="not what the hub states"):
        load(NAME)
    assert _cached(tmp_path) == []
    hub.lies.clear()
    load(NAME)


@contextmanager
def _full_disk(size: int) -> Iterator[None]:
    """Let no file become larger than ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.add("me/net", {"model.safetensors": NET})
    with _full_disk(len(NET) // 2), pytest.raises(CheckpointError, match="Make room"):
        load(NAME)
    assert _cached(tmp_path) == []
    load(NAME)


@pytest.mark.parametrize(
    ("files", "name", "words"),
    [
        ({"model.bin": b"\x80\x04"}, NAME, "no .safetensors file but model.bin, which may run"),
        ({"README.md": b"-"}, NAME, "no .safetensors file at all"),
        ({"a.safetensors": NET, "b.safetensors": NET}, NAME, "hf://me/net/b.safetensors"),
        ({"a.safetensors": NET}, "hf://me/net/c.safetensors", "which file"),
        ({"a.safetensors": b"no tensors"}, NAME, "damaged"),
        ({"a.safetensors": NET}, "hf://me/net/a.ckpt", "only .safetensors files"),
        ({"a.safetensors": NET}, "hf://net", "hf://owner/name"),
        ({"a.safetensors": NET}, "hf://me/../../x", "hf://owner/name"),
        ({"a.safetensors": NET}, "hf://me/net@..", "hf://owner/name"),
        ({"../../../a.safetensors": NET}, NAME, "cannot contain a '..' path segment"),
        ({"a\n\x1b.safetensors": NET, "b.safetensors": NET}, NAME, "a\\n\\x1b.safetensors"),
        ({"a\n\x1b.bin": b"-"}, NAME, "a\\n\\x1b.bin"),
    ],
)
def test_what_is_not_one_file_that_cannot_run_code_is_refused(
    hub: Hub, files: dict[str, bytes], name: str, words: str
) -> None:
    hub.add("me/net", files)
    with pytest.raises(ExemplarError, match=re.escape(words)):
        load(name)
    assert not any(".bin" in asked for asked in hub.asked)


def test_of_two_files_the_named_one_is_taken(hub: Hub) -> None:
    hub.add("me/net", {"a.safetensors": b"no tensors", "sub/b.safetensors": NET})
    load(f"{NAME}/sub/b.safetensors")


def test_a_command_that_is_refused_ends_without_a_traceback(hub: Hub, tmp_path: Path) -> None:
    done = _predict(tmp_path)
    assert done.code == 1
    assert done.err.startswith("error: hf://me/net: no such repository, or no right to it")
    assert TOKEN not in done.out + done.err


def _push(*words: str) -> Finished:
    return command("push", f"to={NAME}", *words)


@pytest.mark.long
def test_a_push_comes_back_with_equal_bytes_and_scores(
    hub: Hub, trained: Path, tmp_path: Path
) -> None:
    scored = command("evaluate", f"checkpoint={trained}", f"output={tmp_path / 'scores'}")
    assert scored.code == 0, scored.err
    done = _push(f"checkpoint={trained}", f"results={tmp_path / 'scores'}", "license=mit")
    assert done.code == 0, done.err
    (sha, files) = hub.repositories["me/net"].commits[-1]
    assert f"hf://me/net@{sha}" in done.err
    assert hub.repositories["me/net"].private
    assert set(files) == {".gitattributes", "README.md", "model.safetensors", "results.json"}
    data = [word for word in TINY if word.startswith("data")]
    words = (f"output={tmp_path / 'again'}", "task=denoise", *data)
    again = command("evaluate", f"checkpoint={NAME}", *words)
    assert again.code == 0, again.err
    first, second = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("scores", "again")
    )
    assert first["weights_sha256"] == second["weights_sha256"]
    for name, board in first["benchmarks"].items():
        assert second["benchmarks"][name]["mean"] == board["mean"]
    origin = second["trained_by"]["hub"]
    assert origin["revision"] == sha
    (snapshot,) = (tmp_path / "cache").rglob("model.safetensors")
    assert origin["sha256"] == sha256(snapshot)


@pytest.mark.long
def test_the_card_has_a_front_matter_with_the_scores(trained: Path, tmp_path: Path) -> None:
    command("evaluate", f"checkpoint={trained}", f"output={tmp_path / 'scores'}")
    words = (f"results={tmp_path / 'scores'}", f"output={tmp_path / 'card'}", "license=mit")
    done = command("push", f"checkpoint={trained}", *words)
    assert done.code == 0, done.err
    text = (tmp_path / "card/README.md").read_text()
    matter = yaml.safe_load(text.split("---\n")[1])
    assert (matter["license"], matter["pipeline_tag"]) == ("mit", "image-to-image")
    scores = json.loads((tmp_path / "scores/results.json").read_text())["benchmarks"]["synthetic"]
    results = matter["model-index"][0]["results"]
    psnr = next(r for r in results if r["metrics"][0]["type"] == "psnr")
    assert psnr["metrics"][0]["value"] == scores["mean"]["psnr"]
    assert sha256(tmp_path / "card/model.safetensors") in text
    assert f"| {scores['mean']['psnr']:.2f} |" in text


@pytest.mark.long
def test_what_is_pushed_says_nothing_of_this_machine(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "of alice"
    command("evaluate", f"checkpoint={trained}", f"output={folder}", "images=false")
    record = json.loads((folder / "results.json").read_text())
    record["training"]["data"]["train_dir"] = f"{folder}/my photos"
    record["trained_by"]["run_ids"] = {"wandb": "secretid"}
    record["command"] += f" 'sets=[{folder}]' 'hydra.searchpath=[file://{folder}/mine]'"
    (folder / "results.json").write_text(json.dumps(record))
    words = (f"results={folder}", f"output={tmp_path / 'card'}")
    done = command("push", f"checkpoint={trained}", *words)
    assert done.code == 0, done.err
    pushed = json.loads((tmp_path / "card/results.json").read_text())
    assert pushed["training"]["data"]["train_dir"] == "my photos"
    assert pushed["benchmarks"] == record["benchmarks"]
    assert pushed["command"].startswith("python -m src.evaluate checkpoint=run 'output=")
    for file in (path for path in (tmp_path / "card").rglob("*") if path.is_file()):
        content = file.read_bytes()
        for private in (str(tmp_path), str(trained.parent), "alice/", "run_ids", "secretid"):
            assert private.encode() not in content, (file, private)


@pytest.mark.long
def test_scores_of_other_weights_are_not_pushed(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    command("evaluate", f"checkpoint={trained}", f"output={folder}", "images=false")
    record = json.loads((folder / "results.json").read_text())
    for name, weights in (("own", record["weights_sha256"]), ("other", "0" * 64)):
        (folder / name).mkdir()
        text = json.dumps({**record, "weights_sha256": weights})
        (folder / name / "results.json").write_text(text)
    (folder / "results.json").unlink()
    push = ("push", f"checkpoint={trained}", f"output={tmp_path / 'card'}")
    refused = command(*push, f"results={folder / 'other'}")
    assert "no record of this checkpoint's weights" in refused.err
    done = command(*push, f"results={folder}")
    assert done.code == 0, done.err
    assert "other/results.json: scores of other weights, left out" in done.out
    assert (tmp_path / "card/own/results.json").is_file()
    assert not (tmp_path / "card/other").exists()


@pytest.mark.long
def test_rounded_weights_are_named_and_lose_no_number(trained: Path, tmp_path: Path) -> None:
    done = command("push", f"checkpoint={trained}", f"output={tmp_path / 'card'}", "half=true")
    assert done.code == 0, done.err
    assert "scores are of the weights before" in (tmp_path / "card/README.md").read_text()
    command("export", f"checkpoint={trained}", f"output={tmp_path / 'net.safetensors'}")
    file = read_network(tmp_path / "net.safetensors")
    name, tensor = next(iter(file.weights.items()))
    large = {**file.weights, name: tensor + 70_000}
    write_network(tmp_path / "large.safetensors", large, file.model, file.about)
    words = (f"checkpoint={tmp_path / 'large.safetensors'}", f"output={tmp_path / 'large'}")
    refused = command("push", *words, "half=true")
    assert f"half=true: {name} has numbers beyond" in refused.err
    assert not (tmp_path / "large/model.safetensors").exists()


@pytest.mark.long
def test_a_network_of_the_zoo_takes_its_own_card_along(tmp_path: Path) -> None:
    done = command("push", "checkpoint=zoo/denoise", f"output={tmp_path / 'card'}", "half=true")
    assert done.code == 0, done.err
    assert "# zoo/denoise" in (tmp_path / "card/README.md").read_text()
    assert (tmp_path / "card/sigma_15/results.json").is_file()
    assert "before rounding" not in (tmp_path / "card/README.md").read_text()
    assert (tmp_path / "card/model.safetensors").stat().st_size < 2.6e6
    taken, own = load(tmp_path / "card/model.safetensors"), load("zoo/denoise")
    assert torch.equal(taken(image := torch.rand(1, 3, 16, 16)), own(image))


PUSH_FAULTS = [
    pytest.param(Fault("PUT /upload", cut=500), "the connection broke", id="upload cut"),
    pytest.param(Fault("POST /api", status=401), "no right to it", id="401"),
    pytest.param(Fault("POST .*/commit/", status=500), "the hub refuses", id="commit refused"),
    pytest.param(Fault("POST .*/batch", status=429), "too many requests", id="429"),
]


@pytest.mark.long
@pytest.mark.parametrize(("fault", "words"), PUSH_FAULTS)
def test_an_interrupted_push_changes_nothing_and_can_be_repeated(
    hub: Hub, trained: Path, fault: Fault, words: str
) -> None:
    hub.add("me/net", {"model.safetensors": NET})
    hub.faults = [Fault(**vars(fault))]
    done = _push(f"checkpoint={trained}")
    assert done.code == 1
    assert words in done.err, done.err
    assert "Traceback" not in done.err
    assert len(hub.repositories["me/net"].commits) == 1
    hub.faults.clear()
    assert _push(f"checkpoint={trained}").code == 0
    assert len(hub.repositories["me/net"].commits) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give to=hf://owner/name, or output=<folder>"),
        (("to=me/net",), "hf://owner/name"),
        (("to=hf://me/net@main",), "a repository is pushed to"),
        (("to=hf://me/net", "results=nowhere"), "no results.json"),
    ],
)
def test_a_push_that_is_not_clear_is_refused(
    hub: Hub, trained: Path, words: tuple[str, ...], said: str
) -> None:
    done = command("push", f"checkpoint={trained}", *words)
    assert done.code in {1, 2}
    assert said in done.err
    assert hub.repositories == {}


@pytest.mark.long
def test_a_training_that_begins_with_it_keeps_the_commit(hub: Hub, tmp_path: Path) -> None:
    commit = hub.add("me/net", {"model.safetensors": NET})
    words = (*TINY, f"weights={NAME}", "trainer.max_steps=1", "trainer.val_check_interval=1")
    words = tuple(word for word in words if not word.startswith("model"))
    done = command("train", *words, "task=denoise", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 0, done.err
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["weights"] == f"hf://me/net@{commit}/model.safetensors"
