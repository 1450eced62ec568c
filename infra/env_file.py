"""Reads the text of a `.env` file: NAME=value lines, quotes, comments; nothing is interpolated."""

import re
from dataclasses import dataclass

_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ENTRY = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=
    (?:
        [ \t]*"(?P<double>(?:[^"\\]|\\.)*)"
      | [ \t]*'(?P<single>[^'\n]*)'
      | (?P<plain>(?![ \t]*["'])[^\n]*?)
    )
    (?:[ \t]+\#[^\n]*)?[ \t]*(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_OPEN_QUOTE = re.compile(r"[^=]*=[ \t]*[\"']")
_ESCAPED = re.compile(r'\\(["\\n])')


@dataclass(frozen=True, slots=True)
class EnvEntry:
    """One value of the file, and the line that it starts on."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What a file says, and what is wrong with it; `mistakes` never quote it."""

    entries: dict[str, EnvEntry]
    mistakes: tuple[str, ...] = ()


def parse_env(text: str) -> EnvFile:
    r"""Read the text of a `.env` file.

    Values in double quotes may span lines and know `\"`, `\\` and `\n`; in single quotes nothing
    is special. Outside quotes a `#` after a blank starts a comment.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    entries: dict[str, EnvEntry] = {}
    mistakes: list[str] = []
    position = 0
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        entry = _ENTRY.match(text, position)
        if entry is not None and entry["name"] in entries:
            first = entries[entry["name"]].line
            mistakes.append(f"line {line}: set a second time, first on line {first}")
        elif entry is not None:
            entries[entry["name"]] = EnvEntry(_value(entry), line)
        position, mistake = _next_line(text, position, entry)
        if mistake:
            mistakes.append(f"line {line}: {mistake}")
    return EnvFile(entries, tuple(mistakes))


def _next_line(text: str, position: int, entry: re.Match[str] | None) -> tuple[int, str]:
    """Return where the next line starts, and what is wrong with this one."""
    match = entry or _BLANK.match(text, position)
    if match is not None:
        return match.end(), ""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end + 1
    if _OPEN_QUOTE.match(text, position, end):
        return end, "a quote is not closed, or something follows it; expected NAME=value"
    return end, "not an assignment, expected NAME=value"


def _value(entry: re.Match[str]) -> str:
    if (double := entry["double"]) is not None:
        return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], double)
    if (single := entry["single"]) is not None:
        return single
    return entry["plain"].strip()
