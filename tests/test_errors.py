import pytest

from pathfuse.errors import ImageError, cannot_be_read, did_you_mean


def test_the_nearest_known_word_is_offered_whatever_its_capitals() -> None:
    assert did_you_mean("lable", ["split", "label"]) == " Did you mean label?"
    assert did_you_mean("HE", ["ihc", "he"]) == " Did you mean he?"
    assert did_you_mean("corrnet", iter(["CorrNet"]), before="--") == " Did you mean --CorrNet?"


def test_no_word_is_offered_where_none_is_near() -> None:
    assert did_you_mean("xyz", ["split", "label"]) == ""
    assert did_you_mean("xyz", []) == ""


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (FileNotFoundError(2, "No such file"), "No such file"),
        (ValueError("two\n  lines"), "two lines"),
        (RecursionError(), "RecursionError"),
        (KeyError("runs"), "'runs' is missing"),
        (ValueError("a" * 1000), "a" * 160),
        ("its own words", "its own words"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_the_reason_and_the_next_step(cause: Exception | str, reason: str) -> None:
    found = cannot_be_read(ImageError, "a.png", cause, "Copy it again.")
    assert isinstance(found, ImageError) and str(found) == f"a.png cannot be read ({reason}). Copy it again."
