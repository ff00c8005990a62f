"""What the picture of an attention map shows, and where."""

import pytest
import torch

from src.inference.attention_map import AttentionMap
from src.inference.attention_picture import draw_attention, label_boxes


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_picture_shows_the_query_and_the_place_that_it_looks_at(channels: int) -> None:
    level = torch.zeros(10, 8)
    level[7, 3] = 1.0
    shown = AttentionMap("b", 2, 5, (10, 8), (level,), pixels=2.0)
    picture = draw_attention([(torch.zeros(1, channels, 20, 16), shown)], count=0).astype(int)
    factor = 640 // 20
    cell = 2 * factor
    # the heat map stands right of the image, its one hot cell in white
    white = (picture[:, 16 * factor + 8 :] == 255).all(axis=2)
    heat = picture[21 : 21 + 20 * factor, 16 * factor + 8 :]
    assert heat.shape[1] == 16 * factor
    hot = torch.from_numpy((heat == 255).all(axis=2))
    assert hot[7 * cell : 8 * cell, 3 * cell : 4 * cell].all()
    assert int(hot.sum()) == cell**2
    assert white.any()
    image = torch.from_numpy(picture[: 20 * factor, : 16 * factor])
    red = (image[..., 0] > image[..., 2] + 100).nonzero()
    middle = ((red.amin(dim=0) + red.amax(dim=0) + 1) / 2).tolist()
    assert middle == pytest.approx([2.5 * cell, 5.5 * cell])


def test_a_strong_key_is_framed_at_its_own_size() -> None:
    level = torch.zeros(5, 5)
    level[2, 2] = 1.0
    shown = AttentionMap("b", 0, 0, (10, 10), (torch.zeros(10, 10), level))
    picture = torch.from_numpy(draw_attention([(torch.ones(1, 3, 10, 10), shown)], count=1)).int()
    image = picture[:640, :640]
    orange = (image - torch.tensor([230, 159, 0])).abs().sum(dim=2) < 3  # of the second level
    rows, columns = orange[200:].nonzero().unbind(1)
    # a patch of 3×3 at half the size covers rows and columns 2 to 8 of 10; frames are outside
    outer = (int(rows.max()) + 200, int(columns.max()))
    assert outer == (8 * 64 - 1 + 3, 8 * 64 - 1 + 3)


def test_numbers_of_keys_lie_on_no_frame_and_on_no_other_number() -> None:
    generator, size = torch.Generator().manual_seed(0), (640, 480)
    corners = torch.rand(9, 2, generator=generator).mul(160).round() + torch.tensor([400, 100])
    frames = [(x, y, x + 40.0 * n, y + 30.0 * n) for n, (x, y) in enumerate(corners.tolist(), 1)]
    boxes = label_boxes(frames, size)
    taken = torch.zeros(size[::-1])
    for left, top, right, bottom in frames:
        for margin in (4, 3, 2, 1):
            rows = [max(int(top) - margin, 0), int(bottom) + margin]
            columns = [max(int(left) - margin, 0), int(right) + margin]
            for row in rows:
                taken[row : row + 1, columns[0] : columns[1] + 1] = 1
            for column in columns:
                taken[rows[0] : rows[1] + 1, column : column + 1] = 1
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        place = taken[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
        assert not place.any()
        place.fill_(1)


def test_rows_of_several_points_are_of_the_same_make() -> None:
    shown = AttentionMap("b", 1, 1, (4, 4), (torch.full((4, 4), 1 / 16),))
    image = torch.rand(1, 3, 4, 4)
    one, two = (draw_attention([(image, shown)] * count) for count in (1, 2))
    assert (two[: len(one)] == one).all()
    assert (two[-len(one) :] == one).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (900, 1300)])
def test_images_of_any_size_are_drawn(size: tuple[int, int]) -> None:
    levels = tuple(torch.rand(max(1, size[0] // n), max(1, size[1] // n)) for n in (1, 2))
    shown = AttentionMap("b", 0, 0, size, levels, window=9)
    picture = draw_attention([(torch.rand(1, 1, *size), shown)])
    assert max(picture.shape) < 3000
