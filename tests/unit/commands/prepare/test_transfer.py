"""What counts as an answer, and what of an unfinished download is believed."""

from pathlib import Path

import pytest

from src.commands.prepare.archives import ArchiveError, Limits, refuse_escape
from src.commands.prepare.transfer import Origin, Partial, downgraded


@pytest.mark.parametrize(
    ("chain", "is_so"),
    [
        (["https://a", "https://b"], False),
        (["http://a", "https://b"], False),
        (["http://a", "http://b"], False),
        (["https://a", "http://b"], True),
        (["https://a", "http://b", "https://c"], True),
    ],
)
def test_a_redirect_from_https_to_http_is_seen(chain: list[str], is_so: bool) -> None:
    assert downgraded(chain) is is_so


def test_bytes_without_a_note_of_their_origin_do_not_count(tmp_path: Path) -> None:
    partial = Partial(tmp_path / "a.zip")
    (tmp_path / "a.zip.part").write_bytes(b"1234")
    assert partial.size == 4
    assert partial.origin() is None


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": "http://a"}'])
def test_a_damaged_note_is_no_origin(note: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part.json").write_text(note)
    assert Partial(tmp_path / "a.zip").origin() is None


def test_a_note_is_read_back_and_goes_with_the_download(tmp_path: Path) -> None:
    partial, origin = Partial(tmp_path / "a.zip"), Origin("http://a/a.zip", '"one"', 10)
    partial.begin(origin)
    partial.path.write_bytes(b"1234")
    assert partial.origin() == origin
    partial.finish(tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("path", ["../a.png", "a/../../b.png", "/a.png", "C:/a.png", "..\\a.png"])
def test_a_path_that_leads_out_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="outside its folder"):
        refuse_escape(tmp_path, path)


@pytest.mark.parametrize("path", ["a.png", "./a/b.png", "a..b/c...png"])
def test_a_path_that_stays_inside_is_not(path: str, tmp_path: Path) -> None:
    refuse_escape(tmp_path, path)


def test_a_limit_must_be_positive_and_can_be_lifted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"limits.ratio=0 must be positive"):
        Limits(ratio=0)
    (tmp_path / "a.zip").touch()
    Limits(ratio=None, total_gb=None).check(tmp_path / "a.zip", members=1, unpacked=10**15)
    with pytest.raises(ArchiveError, match=r"total_gb 1e\+06 is above the limit of 500"):
        Limits(ratio=None).check(tmp_path / "a.zip", members=1, unpacked=10**15)
