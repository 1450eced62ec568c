"""What is read from sloppy fields, and what is not."""

from datetime import UTC, datetime

import pytest

from infra import lenient

_INSTEAD_OF_A_NUMBER = [None, True, False, "", " ", "five", "٣", [5], {"a": 5}, b"5"]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0), (5, 5), (5.0, 5), ("5", 5), (" 5\n", 5), ("5.0", 5), ("5.", 5), ("0007", 7),
        (2**63 - 1, 2**63 - 1), (str(2**63 - 1), 2**63 - 1),
    ],
    ids=repr,
)  # fmt: skip
def test_whole_number_is_read_from_any_form(value: object, number: int) -> None:
    assert lenient.whole(value) == number


@pytest.mark.parametrize(
    "value",
    [
        *_INSTEAD_OF_A_NUMBER, -1, "-1", "+1", 5.5, "5.5", "1e3", "1_0", "1,234", float("inf"),
        float("nan"), 2**63, str(2**63), "9" * 5_000,
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_what_is_no_whole_number_is_none(value: object) -> None:
    assert lenient.whole(value) is None


def test_whole_number_above_a_bound_is_none() -> None:
    assert (lenient.whole(9, 9), lenient.whole(10, 9)) == (9, None)


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5.0), (0.5, 0.5), ("0.5", 0.5), ("-1.5", -1.5), ("1e3", 1_000.0)]
)
def test_decimal_is_read_from_any_form(value: object, number: float) -> None:
    assert lenient.decimal(value) == number


@pytest.mark.parametrize(
    "value", [*_INSTEAD_OF_A_NUMBER[:6], [5], "nan", "inf", 10**400, "1e999"], ids=repr
)
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert lenient.decimal(value) is None


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0),
        (1234, 1234),
        (1234.0, 1234),
        (1234.9, 1234),
        ("1234", 1234),
        ("1234.0", 1234),
        ("9007199254740993", 2**53 + 1),
        ("1.4 GB", int(1.4 * 1024**3)),
        ("1,4 GB", int(1.4 * 1024**3)),
        ("1.45GiB", int(1.45 * 1024**3)),
        ("700 MiB", 700 * 1024**2),
        ("700mb", 700 * 1024**2),
        ("2 TB", 2 * 1024**4),
        ("5 G", 5 * 1024**3),
        ("12 B", 12),
        ("12 bytes", 12),
        ("1,234", 1_234),
        ("1,234,567", 1_234_567),
        ("1,234.5 KB", 1_264_128),
        ("1.234.567", 1_234_567),
        ("1.234,5 KB", 1_264_128),
        ("1 234 567", 1_234_567),
        ("1'234'567", 1_234_567),
        ("1\u202f234\u00a0567 B", 1_234_567),
        ("0,123 KB", 125),
        ("1.234 KB", 1_263),
    ],
    ids=repr,
)
def test_size_is_read_from_any_form(value: object, size: int) -> None:
    assert lenient.byte_size(value) == size


@pytest.mark.parametrize(
    "value",
    [
        *_INSTEAD_OF_A_NUMBER, -1, -0.5, "-1", "GB", "1.4 XB", "1.2.3", "1,2,3", "1..2",
        "1.4 GB/s", "unknown", 2**63, str(2**63), "999999999 TB", float("inf"), "9" * 5_000,
        "1" + " " * 5_000 + "x",
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_what_is_no_size_is_none(value: object) -> None:
    assert lenient.byte_size(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  a b ", "a b"), ("a\x00\x1b\nb\x7f", "ab"), ("\x01 a", "a"), ("n" * 20, "n" * 10),
        (" " + "n" * 20, "n" * 10), ("n" * 9 + " n", "n" * 9), ("", ""), (None, ""), (5, ""),
        (["a"], ""),
    ],
    ids=repr,
)  # fmt: skip
def test_text_is_clean_and_bounded(value: object, text: str) -> None:
    assert lenient.text(value, 10) == text


def test_lines_of_a_text_can_be_kept() -> None:
    assert lenient.text("\na\r\nb\x00\n", keep_lines=True) == "a\nb"


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("2026-03-14T17:10:42Z", datetime(2026, 3, 14, 17, 10, 42, tzinfo=UTC)),
        ("2026-03-14T17:10:42.000Z", datetime(2026, 3, 14, 17, 10, 42, tzinfo=UTC)),
        ("2026-03-14T01:00:00+02:00", datetime(2026, 3, 13, 23, tzinfo=UTC)),
        (" 2026-03-14T17:10:42 ", datetime(2026, 3, 14, 17, 10, 42, tzinfo=UTC)),
        ("2026-03-14", datetime(2026, 3, 14, tzinfo=UTC)),
        ("soon", None), ("", None), (None, None), (1_700_000_000, None),
        ("9999-12-31T23:59:59-01:00", None), ("0001-01-01T00:00:00+01:00", None),
    ],
    ids=repr,
)  # fmt: skip
def test_moment_is_read_as_utc(value: object, at: datetime | None) -> None:
    assert lenient.moment(value) == at
