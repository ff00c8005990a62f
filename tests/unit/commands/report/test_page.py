import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.commands.report.alike import group_records
from src.commands.report.page import busiest, data_uri, write_page
from src.commands.report.records import open_records
from src.data.image_io import write_png
from tests.support.evaluations import GAUSSIAN, write_evaluation
from tests.support.images import pixels
from tests.support.runs import command


def test_the_part_that_is_shown_is_where_the_edges_are() -> None:
    target = np.full((60, 80, 3), 128, dtype=np.uint8)
    target[30:50, 50:70] = pixels(20, 20)
    window = busiest(target, 20)
    assert (abs(window.top - 30) <= 1, abs(window.left - 50) <= 1) == (True, True)
    assert window.of(target).shape == (20, 20, 3)


def test_a_picture_smaller_than_the_crop_is_shown_whole() -> None:
    assert busiest(pixels(10, 30), 64).of(pixels(10, 30)).shape == (10, 30, 3)


def test_no_pixel_is_lost_on_the_way_into_the_page() -> None:
    image = pixels(19, 23)
    content = base64.b64decode(data_uri(image).partition(",")[2])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), image)


def test_what_a_record_says_is_text_in_the_page_and_never_markup(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    write_evaluation(tmp_path / "a", {f'"{hostile}': 30.0}, name=hostile)
    page = tmp_path / "page.html"
    write_page(page, open_records(str(tmp_path / "a")), hostile, images=1, crop=32)
    text = page.read_text()
    assert hostile not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_page_names_no_other_place(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "a", {"x": 30.0}, pictures=True)
    write_page(tmp_path / "p.html", open_records(str(tmp_path)), "t", images=1, crop=32)
    text = re.sub(r"data:image/webp;base64,[\w+/=]+", "data:", (tmp_path / "p.html").read_text())
    assert not re.search(r"https?:|//\w|url\(|@import", text)
    assert "Content-Security-Policy" in text


@pytest.mark.long
def test_images_that_are_not_the_published_set_are_marked(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "r", {"a": 30.0}, benchmark="set5", seen={"a": "24x20:0"})
    done = command("report", f"results={tmp_path / 'r'}", f"output={tmp_path / 'page.html'}")
    assert done.code == 0, done.err
    assert "no published score compares" in (tmp_path / "page.html").read_text()
    other = write_evaluation(tmp_path / "o", {"a": 31.0}, benchmark="set5", seen={"a": "24x20:0"})
    done = command("report", f"compare=[{tmp_path / 'r'},{other}]")
    assert "no published score compares" in " ".join(done.out.split())


def test_records_stand_together_only_where_they_may_be_compared(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "1", {"x": 30.0}, name="one")
    write_evaluation(tmp_path / "2", {"x": 31.0}, name="two")
    write_evaluation(tmp_path / "3", {"x": 25.0}, degradation={**GAUSSIAN, "sigma": [50, 50]})
    groups = group_records(open_records(str(tmp_path)))
    assert [[r.name for r in group.records] for group in groups] == [["one", "two"], ["net"]]


def test_a_noisy_mosaic_is_another_condition_than_a_clean_one(tmp_path: Path) -> None:
    for name, noise in (("a", [0, 0]), ("b", [5, 5]), ("c", [0, 10])):
        mosaic = {"_target_": "src.degradations.mosaic.Mosaic", "noise": noise}
        write_evaluation(tmp_path / name, {"x": 30.0}, degradation=mosaic)
    said = [record.condition for record in open_records(str(tmp_path))]
    assert said == ["mosaic", "mosaic σ 5", "mosaic σ 0–10"]


def test_the_page_says_what_was_scored(tmp_path: Path) -> None:
    for name, chain in (("a", {}), ("b", {"name": "real_esrgan"})):
        degradation = {"_target_": "src.degradations.chain.Chain", "steps": {}, **chain}
        write_evaluation(tmp_path / name, {"x": 30.0}, degradation=degradation)
    write_evaluation(tmp_path / "c", {"x": 30.0})
    file = tmp_path / "c/results.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "restored": "rival"}))
    said = [record.condition for record in open_records(str(tmp_path))]
    assert said == ["chain", "real_esrgan", "restored images"]


def test_of_a_distance_the_page_marks_the_smallest(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "1", {"x": 0.2}, name="near", noisy=0.9, metric="lpips")
    write_evaluation(tmp_path / "2", {"x": 0.4}, name="far", noisy=0.9, metric="lpips")
    write_page(tmp_path / "p.html", open_records(str(tmp_path)), "t", images=1, crop=32)
    text = (tmp_path / "p.html").read_text()
    assert re.search(r"<(b|strong)[^>]*>\s*0\.2000", text)
    assert not re.search(r"<(b|strong)[^>]*>\s*0\.9000", text)


def test_the_command_writes_a_page_under_names_of_ones_own(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "a", {"x": 30.0, "y": 31.0}, pictures=True)
    write_evaluation(tmp_path / "b", {"x": 30.5, "y": 31.2}, pictures=True)
    results = f"results={{Before:{tmp_path}/a,After:{tmp_path}/b}}"
    done = command("report", results, f"output={tmp_path}/page.html", "crop=32")
    assert done.code == 0, done.err
    text = (tmp_path / "page.html").read_text()
    assert "After − Before" in text
    assert text.count('class="shot"') == 2


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    done = command("report", f"results={tmp_path}")
    assert done.code == 1
    assert "there is no results.json" in done.err


def test_pictures_of_where_attention_looks_stand_in_the_page(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "a", {"x": 30.0})
    looked = np.random.default_rng(0).integers(0, 255, (8, 9, 3), np.uint8)
    write_png(tmp_path / "a/attention/x_attention_3_4.png", looked)
    write_page(tmp_path / "p.html", open_records(str(tmp_path)), "t", images=1, crop=32)
    text = (tmp_path / "p.html").read_text()
    assert "Where attention looks" in text
    assert "net, x_attention_3_4" in text
    assert data_uri(looked) in text
