"""The docs name every command, route and store; nothing else."""

import re
from pathlib import Path

import click
import pytest

from addon.cli import main
from addon.pages import BELOW_ADDON, PAGES
from addon.routes import ROUTES
from addon.stores import STORES
from addon.stores.base import Offer
from chillproxy.api import ROUTES as POOL_ROUTES

_ROOT = Path(__file__).parent.parent.parent
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_HTTP = (_ROOT / "docs" / "http.md").read_text(encoding="utf-8")


def _commands(group: click.Group, before: str = "") -> set[str]:
    found: set[str] = set()
    for name, command in group.commands.items():
        full = f"{before}{name}"
        found |= _commands(command, f"{full} ") if isinstance(command, click.Group) else {full}
    return found


def test_readme_names_every_command_and_no_other() -> None:
    section = _README.partition("## Commands")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]

    named = {
        re.sub(r" [A-Z]+$", "", command)
        for row in rows
        for command in re.findall(r"`([^`]+)`", row.split("|")[1])
    }

    assert named == _commands(main)


def test_docs_name_every_route_and_no_other() -> None:
    offered = {
        f"{method} {route.path.replace(':path', '')}"
        for route in [*ROUTES, *BELOW_ADDON, *PAGES, *POOL_ROUTES]
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}
    }

    named = set(re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) [^`]+)`", _HTTP, re.MULTILINE))

    assert named == offered


@pytest.mark.parametrize("offer", STORES, ids=lambda offer: offer.info.name)
def test_readme_names_every_store_with_its_code(offer: Offer) -> None:
    assert f"`{offer.info.code}`" in _README
    assert offer.info.title.lower() in _README.lower()
