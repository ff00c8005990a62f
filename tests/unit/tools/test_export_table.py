"""The table of exported networks: what it says of speeds, and of files that would be refused."""

from tools.export_table import table

FILE = {"network": "zoo/denoise", "format": "onnx", "megabytes": 1.5432, "difference": 0.0021}
GOOD = FILE | {"precision": "fp16", "loss_db": -0.0002}
BAD = FILE | {"precision": "int8", "loss_db": 0.1236}
ABOUT = {
    "hardware": {"processor": "a processor", "torch": "2.13.0+cpu"},
    "date": "2026-11-27T12:00:00+00:00",
    "packages": {"onnxruntime": "1.32.0", "openvino": "2026.4.1"},
    "threads": 2,
    "images": 5,
    "judged": "Set5",
    "calibration": "BSDS500",
}


def test_a_loss_that_export_refuses_is_bold_and_no_zero_is_negative() -> None:
    lines = list(table(ABOUT | {"rounds": 0, "files": [GOOD, BAD]}))
    assert lines[-2:] == [
        "| zoo/denoise | .onnx | fp16 | 1.54 | 0.000 | 2.1e-03 |",
        "| zoo/denoise | .onnx | int8 | 1.54 | **0.124, refused** | 2.1e-03 |",
    ]
    assert "- Speed has not been measured." in lines
    assert any("5 images of Set5" in line for line in lines)


def test_speeds_stand_beside_those_of_the_live_network() -> None:
    timed = GOOD | {"speed": 0.3, "live_speed": 0.12}
    lines = list(table(ABOUT | {"rounds": 5, "files": [timed]}))
    assert lines[-1].endswith("| 0.300 | 2.50 |")
    assert lines[-1].count("|") == lines[-2].count("|") == lines[-3].count("|")
    assert "`python -m tools.export_table <Set5> <BSDS500> --rounds 5` on a processor" in lines[2]
