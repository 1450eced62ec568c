"""What the docs point at is there: pages, headings, settings, metrics."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import describe

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|^(?: {4}|\t).*?$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b[A-Z]{3,}(?==)")
# Of compose, of the image, of Caddy, of a provider; and the pattern of all secrets.
_OTHERS = {"DOMAIN", "PYTHON_IMAGE", "PYTHON", "SITE", "UPSTREAM", "NO_SERVER", "NAME_FILE"}


def _settings() -> set[str]:
    names = {row.name for row in describe()}
    return names | {f"{name}_FILE" for name in names}


def _links() -> Iterator[tuple[Path, str]]:
    for page in _PAGES:
        for target in _LINK.findall(page.read_text("utf-8")):
            if "://" not in target:
                yield page, target


@pytest.mark.parametrize(
    ("page", "target"),
    [pytest.param(page, target, id=f"{page.name}-{target}") for page, target in _links()],
)
def test_relative_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, heading = target.partition("#")
    file = page.parent / path if path else page

    assert file.is_file()
    if heading:
        titles = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
        assert heading in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in titles}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_setting_that_is_named_exists(page: Path) -> None:
    code = " ".join(_CODE.findall(page.read_text("utf-8")))

    named = set(_NAME.findall(code)) - _OTHERS

    assert named <= _settings()


def test_every_page_is_reached_from_the_readme() -> None:
    readme = _PAGES[0].read_text("utf-8")

    missing = [page.name for page in _PAGES[1:] if f"(docs/{page.name})" not in readme]

    assert missing == []


def test_compose_gives_the_server_nothing_but_settings() -> None:
    text = (_ROOT / "compose.yaml").read_text("utf-8")
    service = text.partition("\n  chillproxy:\n")[2].partition("\n\n")[0]

    given = set(re.findall(r"^ +([A-Z][A-Z_]+):", service, re.MULTILINE))

    assert given
    assert given <= _settings()
