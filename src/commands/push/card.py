"""The model card: what the network is for, its scores, and how it came to be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from src.app.inference import task_of
from src.app.results import METRIC_DIGITS, METRIC_NAMES
from src.core.pages import markdown
from src.weights.checkpoint import Checkpoint

_OWN = "card.md"
"""A card beside the checkpoint, as the networks of the zoo have one."""

Row = tuple[str, str, str, float]
"""Images, condition and protocol, metric, mean."""


def card(
    name: str,
    checkpoint: Checkpoint,
    records: Mapping[str, Mapping[str, Any]],
    *,
    parameters: int,
    sha256: str,
    license_name: str | None,
    rounded: bool,
) -> str:
    """Return a model card in Markdown, with the front matter that the hub reads.

    ``rounded``: the file's weights are those of the checkpoint rounded to 16 bits.
    """
    rows = [row for record in records.values() for row in _rows(record)]
    task = task_of(checkpoint)
    matter: dict[str, Any] = {
        "library_name": "exemplar",
        "pipeline_tag": "image-to-image",
        "tags": ["image-restoration", task],
    }
    if license_name is not None:
        matter["license"] = license_name
    if rows:
        matter["model-index"] = [{"name": name, "results": [_result(task, *row) for row in rows]}]
    own = checkpoint.path.parent / _OWN
    text = own.read_text("utf-8") if own.is_file() else "\n".join(_said(name, task, rows))
    front = yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)
    facts = "\n".join(_facts(checkpoint, parameters, sha256))
    if rounded:
        facts += "\n- weights of 16 bits; scores are of the weights before rounding"
    return f"---\n{front}---\n\n{text.rstrip()}\n\n{_use(name)}\n\n{facts}\n"


def _rows(record: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the means of a record."""
    protocol = f"{record['protocol']['name']} v{record['protocol']['version']}"
    levels = [
        f"{key} {record['degradation'][key]}"
        for key in ("sigma", "quality", "scale", "phase", "noise")
        if record.get("degradation", {}).get(key) not in (None, [0, 0])
    ]
    for images, board in record["benchmarks"].items():
        for metric, mean in board["mean"].items():
            if not metric.endswith("_input") and isinstance(mean, int | float):
                yield images, ", ".join([*levels, protocol]), metric, float(mean)


def _result(task: str, images: str, condition: str, metric: str, mean: float) -> dict[str, Any]:
    return {
        "task": {"type": "image-to-image", "name": task},
        "dataset": {"type": images, "name": f"{images}, {condition}"},
        "metrics": [{"type": metric, "value": mean}],
    }


def _said(name: str, task: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"# {name}"
    yield ""
    yield f"A network for {task.replace('_', ' ')}."
    if rows:
        yield ""
        yield "| images | condition, protocol | score | mean |"
        yield "|---|---|---|---|"
    for images, condition, metric, mean in rows:
        cells = [images, condition, METRIC_NAMES.get(metric, metric)]
        escaped = [markdown(cell) for cell in cells]
        yield f"| {' | '.join(escaped)} | {mean:.{METRIC_DIGITS.get(metric, 4)}f} |"


def _use(name: str) -> str:
    return (
        "## Use\n\nWith Exemplar and its extra `hub` installed:\n\n```bash\n"
        f"python -m src.predict checkpoint=hf://{name} input=photo.png\n```\n\n"
        "The weights are a `.safetensors` file: opening it runs no code."
    )


def _facts(checkpoint: Checkpoint, parameters: int, sha256: str) -> Iterator[str]:
    origin, model = checkpoint.origin, checkpoint.config.model
    yield "## Origin"
    yield ""
    yield f"- network: `{model['_target_'].rpartition('.')[2]}`, {parameters:,} parameters"
    attention = (model.get("attention") or {}).get("_target_")
    if attention:
        yield f"- attention: `{attention.rpartition('.')[2]}`"
    if checkpoint.step:
        yield f"- training: {checkpoint.step:,} steps"
    yield f"- trained by version {origin.get('version')}, commit `{origin.get('commit')}`"
    yield f"- SHA-256 of `model.safetensors`: `{sha256}`"
