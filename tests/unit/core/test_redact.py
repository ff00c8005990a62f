import logging

import pytest

from src.core.redact import (
    CleanRecord,
    passwords_in,
    plain_without_passwords,
    readable,
    with_passwords,
    without_passwords,
)

HIDDEN = {
    "postgresql://me:geheim@db:5432/study": "postgresql://me:***@db:5432/study",
    "mysql+pymysql://me:p@ss:w@db/x": "mysql+pymysql://me:***@db/x",
    "http://:geheim@host": "http://:***@host",
    "redis://h/0?password=geheim&db=1": "redis://h/0?password=***&db=1",
    "https://h/a.zip?X-Amz-Signature=abc&x=1": "https://h/a.zip?X-Amz-Signature=***&x=1",
    "a 'http://a:b@c' and \"http://d:e@f/g\"": "a 'http://a:***@c' and \"http://d:***@f/g\"",
}
STAYS = (
    "sqlite:////home/me/a@b:c/study.db",
    "https://me@host/path",
    "http://localhost:8080/a@b",
    "optimizer.lr=1e-4",
    "key=value",
)


@pytest.mark.parametrize(("text", "hidden"), HIDDEN.items())
def test_a_password_in_an_address_is_hidden_and_can_be_put_back(text: str, hidden: str) -> None:
    assert without_passwords(text) == hidden
    assert without_passwords(hidden) == hidden
    assert with_passwords(hidden, passwords_in(text)) == text


@pytest.mark.parametrize("text", STAYS)
def test_what_is_no_password_stays(text: str) -> None:
    assert without_passwords(text) == text
    assert passwords_in(text) == []


def test_plain_data_is_copied_without_passwords() -> None:
    node = {"logger": {"uri": "http://a:b@c"}, "list": ["http://a:b@c", 1, None, True]}
    assert plain_without_passwords(node) == {
        "logger": {"uri": "http://a:***@c"},
        "list": ["http://a:***@c", 1, None, True],
    }


def test_a_name_forges_no_line_of_a_log_and_steers_no_terminal() -> None:
    name = "a\r\n[2026-01-01 00:00:00][src.train][INFO] - all is well\x1b[2K\x9b1A.png"
    record = CleanRecord("n", logging.INFO, "f", 1, "skipped %s", (name,), None)
    lines = logging.Formatter("[%(levelname)s] - %(message)s").format(record).split("\n")
    assert lines[0] == "[INFO] - skipped a\\r"
    assert lines[1].startswith("  [2026")
    assert lines[1].endswith("\\x1b[2K\\x9b1A.png")


def test_what_nobody_sees_in_a_name_is_shown() -> None:
    assert readable("pa\u200bnet gpj.\u202etxt\ufeff") == "pa\\u200bnet gpj.\\u202etxt\\ufeff"


def test_what_people_read_stays() -> None:
    assert readable("Größe 3×4, σ 25 → 𝄞\n  next") == "Größe 3×4, σ 25 → 𝄞\n  next"
