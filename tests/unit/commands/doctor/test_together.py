"""What the check makes of the findings of several processes."""

from src.commands.doctor.finding import merged, note, right, wrong
from src.commands.doctor.machine import facts
from src.commands.doctor.together import check_cards, check_same

NAMES = ["0 (one)", "1 (two)", "2 (two)"]


def test_what_all_have_found_stands_once_and_the_rest_with_its_process() -> None:
    own = [[right("disk", "fine"), note("cores", "8")], [right("disk", "fine")]]
    own.append([right("disk", "fine"), wrong("cores", "1", "more")])
    table = [(row.check, row.state, row.where) for row in merged(own, NAMES)]
    assert table == [
        ("disk", "right", "all"),
        ("cores", "note", "0 (one)"),
        ("cores", "wrong", "2 (two)"),
    ]


def test_equal_code_is_one_row_and_another_version_is_named_with_its_process() -> None:
    same = facts()
    assert [row.state for row in check_same([same, same, same], NAMES)] == ["right"]
    other = {**same, "torch": "1.0", "source": "abc"}
    rows = check_same([same, same, other], NAMES)
    assert [(row.check, row.state) for row in rows] == [
        ("same source", "wrong"),
        ("same torch", "wrong"),
    ]
    assert f"0 (one) has {same['torch']}, 2 (two) has 1.0" in rows[1].found


def test_two_processes_on_one_gpu_are_wrong_and_none_is_nothing() -> None:
    assert check_cards(["a", "b", "c"], NAMES) == []
    assert check_cards(["", "", ""], NAMES) == []
    (row,) = check_cards(["a", "b", "b"], NAMES)
    assert "2 (two) and 1 (two) have the same one" in row.found
