"""What the queue takes from a run."""

from pathlib import Path

from tools.zoo_queue import write_curve


def test_the_curve_holds_the_validations_alone(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(
        "step,train/loss,val/psnr\n49,0.1,\n99,0.2,\n99,,27.5\n149,0.1,\n199,,28.25\n"
    )
    write_curve(metrics, tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text() == "step,val_psnr\n99,27.5\n199,28.25\n"
