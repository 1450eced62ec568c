"""Reads single values from answers of other people's servers, which send them in many shapes.

What cannot be read or is out of bounds is None, or an empty text: a sloppy field costs nothing but
itself, and whatever is read fits a column of a database.
"""

import math
import re
from datetime import UTC, datetime
from decimal import Decimal

_MOST = 2**63 - 1
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_NEWLINE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_WHOLE = re.compile(r"([0-9]{1,19})(?:\.0{0,9})?")
_SIZE = re.compile(
    r"([0-9][0-9.,' \u00a0\u202f]{0,30})(?:([KMGTP])i?)?(?:B|bytes?)?", re.IGNORECASE
)
_SPACES = re.compile(r"[' \u00a0\u202f]")
_PLAIN = re.compile(r"[0-9]{1,19}(?:\.[0-9]{0,9})?")
# `1,234`, `1,234,567.8`, and the other way round `1.234.567` or `1.234,8`; `1.234` is a decimal.
_COMMAS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_DOTS = re.compile(r"[1-9][0-9]{0,2}(?:(?:\.[0-9]{3})+,[0-9]+|(?:\.[0-9]{3}){2,})")


def text(value: object, longest: int = 1_000, *, keep_lines: bool = False) -> str:
    """Return a text without control characters and outer blanks, cut to `longest` characters."""
    if not isinstance(value, str):
        return ""
    unwanted = _CONTROL_BUT_NEWLINE if keep_lines else _CONTROL
    return unwanted.sub("", value.strip()[:longest]).strip()


def whole(value: object, most: int = _MOST) -> int | None:
    """Read a whole number from 0 to `most`, be it sent as 5, 5.0, `5` or `5.0`."""
    if isinstance(value, str):
        match = _WHOLE.fullmatch(value.strip())
        value = int(match[1]) if match else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= most else None


def decimal(value: object) -> float | None:
    """Read a finite number of either sign."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def byte_size(value: object) -> int | None:
    """Read a size: a number of bytes, or a text like `1.4 GB`, `700 MiB` or `1,234,567`.

    Units count in 1,024s, for that is what sites mean by either spelling.
    """
    if isinstance(value, float) and math.isfinite(value):
        value = math.floor(value)
    if not isinstance(value, str):
        return whole(value)
    match = _SIZE.fullmatch(value.strip())
    number = _without_separators(match[1]) if match else ""
    if match is None or not _PLAIN.fullmatch(number):
        return None
    return whole(int(Decimal(number) * 1024 ** _UNITS[(match[2] or "").upper()]))


def moment(value: object) -> datetime | None:
    """Read a date in ISO 8601 as UTC; one without an offset is in UTC already."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value.strip())
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _without_separators(number: str) -> str:
    """Return a number with a point as its only separator."""
    number = _SPACES.sub("", number)
    if _COMMAS.fullmatch(number):
        return number.replace(",", "")
    if _DOTS.fullmatch(number):
        number = number.replace(".", "")
    return number.replace(",", ".")
