"""The README says of the settings what the code does."""

import re
from pathlib import Path

from infra.settings import SettingRow, describe

_README = Path(__file__).parents[2] / "README.md"
_CELL_END = re.compile(r"(?<!\\)\|")


def test_readme_lists_exactly_the_settings_of_the_code() -> None:
    section = _README.read_text("utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]

    documented = [_row(line) for line in section.splitlines() if line.startswith("| `")]

    assert documented == describe()


def _row(line: str) -> SettingRow:
    name, default, meaning = (cell.strip() for cell in _CELL_END.split(line)[1:-1])
    return SettingRow(name.strip("`"), default.strip("`"), meaning.replace("\\|", "|"))
