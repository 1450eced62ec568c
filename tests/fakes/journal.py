"""What was logged while a test ran, as structured entries and as the very text."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
import structlog

from infra.log import configure_logging
from infra.secret import Redactor


class Journal:
    """Stands in for the stream that logs go to."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """All entries, oldest first; only for the style `json`."""
        return [msgspec.json.decode(line, type=dict[str, Any]) for line in self.text.splitlines()]

    @property
    def events(self) -> list[str]:
        return [entry["event"] for entry in self.entries]


@contextmanager
def recorded_logs(
    level: str = "info",
    style: Literal["json", "console"] = "json",
    redactor: Redactor | None = None,
) -> Iterator[Journal]:
    """Send all logs to a journal, and put things back afterwards."""
    journal = Journal()
    root = logging.getLogger()
    handlers, former_level = list(root.handlers), root.level
    root.handlers.clear()
    configure_logging(level, style, redactor or Redactor(), journal.stream)
    try:
        yield journal
    finally:
        root.handlers[:] = handlers
        root.setLevel(former_level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
