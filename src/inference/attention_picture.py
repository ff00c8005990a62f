"""The picture of attention maps: what one pixel looks at, over the image, level by level."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from src.inference.attention_map import AttentionMap, Box
from src.ops.attention.contract import window_of

CAPTION = "query (red) and strongest keys | weights, level by level (brightness: square root)"

COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "#999999")
"""One a level: Okabe and Ito's, which the colour-blind can tell apart."""

_RED, _INK, _PAPER = "#ff1a1a", "#222222", "#ffffff"
_SIDE = 640
"""Pixels of the longer side of the image in the picture, about."""

_COLUMNS = 3
_GAP, _LINE, _LETTERS = 8, 18, 13
_MARGIN = 4
"""How far the lines of a frame reach round it."""

_DIM = 0.35

Edges = tuple[float, float, float, float]
"""Of a rectangle in the picture: left, top, right, bottom."""


def draw_attention(
    shown: Sequence[tuple[Float[Tensor, "1 c h w"], AttentionMap]], *, count: int = 5
) -> NDArray[np.uint8]:
    """Draw a row for each map: the image with query and strongest keys, then the weights.

    A level is drawn in its own proportion, a smaller scale smaller. All levels of a row share one
    scale of colours, from black through red and yellow to white, the largest weight; brightness
    goes with the square root of the weight, as softmax weights span several powers of ten.

    Args:
        shown: The network's input in [0, 1], and a map of it; more than three channels, as a noise
            level, are left out.
        count: How many of the strongest keys are framed.

    Returns:
        (H, W, 3).
    """
    rows = [_row(_pillow(image), one, count) for image, one in shown]
    return np.array(_joined(rows, below=True))


def _pillow(image: Tensor) -> Image.Image:
    planes = image[0, : 3 if image.shape[1] >= 3 else 1].expand(3, -1, -1)
    levels = (planes.detach().float().cpu().clamp(0, 1) * 255).round().byte()
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def _row(base: Image.Image, attention: AttentionMap, count: int) -> Image.Image:
    """Draw one map: image and words on the left, the levels on the right."""
    factor = _factor(base)
    levels = [
        _level(base, attention, number, factor / (1 if len(attention.levels) == 1 else 2))
        for number in range(len(attention.levels))
    ]
    lines = [_joined(levels[start : start + _COLUMNS]) for start in range(0, len(levels), _COLUMNS)]
    words = [_words(line, colour) for line, colour in _legend(attention, count)]
    left = _joined([_marked(base, attention, factor, count), *words], below=True)
    return _joined([left, _joined(lines, below=True)])


def _factor(base: Image.Image) -> float:
    """Return by how much an image is enlarged, a whole number, or made smaller."""
    factor = _SIDE / max(base.size)
    return max(1, round(factor)) if factor > 0.75 else factor


def _legend(attention: AttentionMap, count: int) -> list[tuple[str, str]]:
    """Return lines and their colours: block and query, then each of the strongest keys."""
    numbers = attention.spread(0)
    keys = f"{numbers.effective_keys:.0f} effective keys"
    lines = [(f"{attention.block}: query in red, {keys}", _RED)]
    for number, key in enumerate(attention.strongest(count), start=1):
        words = f"{number}   scale {attention.scale(key.level)}   {key.weight:.2%}"
        lines.append((words, _colour(key.level)))
    return [*lines, ("brightness: square root of the weight, white is the largest", _PAPER)]


def _colour(level: int) -> str:
    return COLOURS[level % len(COLOURS)]


def _marked(base: Image.Image, attention: AttentionMap, factor: float, count: int) -> Image.Image:
    """Return the image with the query in red, and frames round the strongest keys with lines."""
    marked = _resized(base, factor, factor)
    draw = ImageDraw.Draw(marked)
    keys = attention.strongest(count)
    query = _scaled(attention.query, factor)
    frames = [_scaled(key.box, factor) for key in keys]
    for key, frame in zip(keys, frames, strict=True):
        draw.line([_middle(query), _middle(frame)], _colour(key.level), 1)
    for key, frame in zip(keys, frames, strict=True):
        _frame(draw, frame, _colour(key.level))
    _frame(draw, query, _RED)
    boxes = label_boxes([*frames, query], marked.size)
    for number, (key, frame, box) in enumerate(zip(keys, frames, boxes, strict=False), start=1):
        colour = _colour(key.level)
        if not _meet(_grown(frame, 2 * _MARGIN), box):
            draw.line([_nearest(frame, box), _middle(box)], colour, 1)
        draw.text(
            _middle(box), str(number), colour, _font(), "mm", stroke_width=2, stroke_fill=_INK
        )
    return marked


def label_boxes(frames: Sequence[Edges], size: tuple[int, int]) -> list[Edges]:
    """Return a place for the number of each frame: beside it, on no frame's edge and no other.

    Where a picture of (width, height) has no such place, it is the right upper corner.
    """
    boxes: list[Edges] = []
    for frame in frames:
        rings = (place for ring in range(0, 200, 4) for place in _ring(frame, ring))
        inside = (box for box in rings if _within(box, (0, 0, *size)))
        free = (
            box
            for box in inside
            if not any(_meet(box, other) for other in boxes)
            and not any(
                _meet(box, _grown(edge, _MARGIN)) and not _within(box, edge) for edge in frames
            )
        )
        boxes.append(next(free, next(_ring(frame, 0))))
    return boxes


def _ring(frame: Edges, distance: int) -> Iterator[Edges]:
    """Yield boxes for a number round a frame: at its sides, then above and below."""
    left, top, right, bottom = _grown(frame, distance + _MARGIN + 1)
    for x in (right, left - _LETTERS):
        for y in (top, bottom - _LETTERS):
            yield x, y, x + _LETTERS, y + _LETTERS
    for y in (top - _LETTERS, bottom):
        for x in (right - _LETTERS, left):
            yield x, y, x + _LETTERS, y + _LETTERS


def _grown(box: Edges, by: float) -> Edges:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _meet(one: Edges, other: Edges) -> bool:
    return all(one[n] <= other[n + 2] and other[n] <= one[n + 2] for n in (0, 1))


def _within(one: Edges, other: Edges) -> bool:
    return all(other[n] <= one[n] and one[n + 2] <= other[n + 2] for n in (0, 1))


def _nearest(frame: Edges, box: Edges) -> tuple[float, float]:
    """Return the point of a frame that is nearest to the middle of a box."""
    x, y = _middle(box)
    return min(max(x, frame[0]), frame[2]), min(max(y, frame[1]), frame[3])


def _scaled(box: Box, factor: float) -> Edges:
    """Return the edges of a box in the picture as Pillow takes them: x first, the last included."""
    x, y = box.column * factor, box.row * factor
    half_x, half_y = box.width * factor / 2, box.height * factor / 2
    return round(x - half_x), round(y - half_y), round(x + half_x) - 1, round(y + half_y) - 1


def _middle(frame: Edges) -> tuple[float, float]:
    return (frame[0] + frame[2]) / 2, (frame[1] + frame[3]) / 2


def _frame(draw: ImageDraw.ImageDraw, frame: Edges, colour: str) -> None:
    """Draw round a box, dark and then coloured, so that nothing of what is inside is covered."""
    for margin, ink in ((_MARGIN, _INK), (3, colour), (2, colour), (1, _INK)):
        draw.rectangle(_grown(frame, margin), outline=ink)


def _level(base: Image.Image, attention: AttentionMap, number: int, factor: float) -> Image.Image:
    """Return the weights of a level over the dimmed image, with the window and words above it."""
    weights = attention.levels[number].float().cpu()
    shares = [side / whole for side, whole in zip(weights.shape, attention.size, strict=True)]
    grey = np.asarray(_resized(base, factor * shares[1], factor * shares[0]).convert("L"))
    peak = max(float(level.max()) for level in attention.levels)
    heat = Image.fromarray((weights / peak).sqrt().numpy()).resize(
        grey.shape[::-1], Image.Resampling.NEAREST
    )
    ramp = np.stack([np.asarray(heat) * 3 - step for step in range(3)], axis=-1)
    hot = np.maximum(grey[..., None] / 255 * _DIM, ramp).clip(0, 1)
    picture = Image.fromarray((hot * 255).round().astype(np.uint8))
    _frame_window(picture, attention, weights.shape)
    words = (
        f"scale {attention.scale(number)}: {float(weights.sum()):.1%}, "
        f"largest {float(weights.max()):.2%}"
    )
    return _joined([_words(words, _colour(number)), picture], below=True)


def _frame_window(picture: Image.Image, attention: AttentionMap, level: Sequence[int]) -> None:
    """Draw round what the query sees, where that is not all."""
    if attention.window is None:
        return
    at = (attention.row, attention.column)
    rows, columns = (
        window_of(place, size, side, attention.window)
        for place, size, side in zip(at, attention.size, level, strict=True)
    )
    x, y = picture.width / level[1], picture.height / level[0]
    edges = (columns.start * x, rows.start * y, columns.stop * x - 1, rows.stop * y - 1)
    ImageDraw.Draw(picture).rectangle(edges, outline=_PAPER)


def _resized(base: Image.Image, across: float, down: float) -> Image.Image:
    size = (max(1, round(base.width * across)), max(1, round(base.height * down)))
    return base.resize(size, Image.Resampling.NEAREST if across >= 1 else Image.Resampling.BOX)


def _words(text: str, colour: str) -> Image.Image:
    """Return a line of text behind a square of ``colour``."""
    font = _font()
    line = Image.new("RGB", (_LINE + round(font.getlength(text)), _LINE), _PAPER)
    draw = ImageDraw.Draw(line)
    draw.rectangle((0, 3, _LETTERS - 2, _LETTERS + 1), fill=colour)
    draw.text((_LINE, 1), text, _INK, font)
    return line


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_LETTERS)


def _joined(parts: Sequence[Image.Image], *, below: bool = False) -> Image.Image:
    """Return pictures side by side, or one below the other, with gaps round them."""
    sides = [part.size if below else part.size[::-1] for part in parts]
    gap = 3 if below else _GAP
    across = max(side[0] for side in sides)
    along = sum(side[1] for side in sides) + gap * (len(sides) - 1)
    whole = Image.new("RGB", (across, along) if below else (along, across), _PAPER)
    start = 0
    for part, side in zip(parts, sides, strict=True):
        whole.paste(part, (0, start) if below else (start, 0))
        start += side[1] + gap
    return whole
