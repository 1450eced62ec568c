"""Structured logs without secrets and without control characters, for our code and for libraries'.

Every entry, whoever made it, passes the same chain; the last step before rendering blots out
loaded secrets in each text of the entry, keys and tracebacks included.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from infra.secret import Redactor

_LONGEST_TEXT = 8_000
_DEEPEST = 6
_BIGGEST_INT = 2**63
# C0, DEL, C1, line and paragraph separators, direction overrides, and halves of surrogate pairs:
# what could start a line of its own, drive a terminal, or not be written at all.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_BUT_NEWLINE = re.compile(_CONTROL.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
# Formatters of other handlers add the first two; uvicorn adds its message once more in colours.
_OF_EVERY_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "color_message",
}


def get_logger() -> FilteringBoundLogger:
    """Return the logger of this program; `log.info("event_name", key=value)`."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def configure_logging(
    level: str, style: Literal["json", "console"], redactor: Redactor, stream: TextIO
) -> None:
    """Send all logs of this process to a stream; calling it again replaces what it set up.

    Args:
        level: `debug`, `info`, `warning`, `error` or `critical`.
        style: one JSON object a line, or text for people.
        redactor: knows the secrets that must not appear.
        stream: where lines go; an error of the stream loses lines and nothing else.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _Clean(redactor),
            _render_json if style == "json" else _console_renderer(stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    _take_over_stdlib(level)


class _Clean:
    """Makes an entry of harmless texts: no secrets, no control characters, no endless ones."""

    def __init__(self, redactor: Redactor) -> None:
        self._redact = redactor.clean

    def __call__(self, _logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
        exception = entry.pop("exception", None)
        clean = {self._text(str(key)): self._value(value, 0) for key, value in entry.items()}
        if exception is not None:
            clean["exception"] = self._traceback(str(exception))
        return clean

    def _value(self, value: object, depth: int) -> Any:
        match value:
            case str():
                return self._text(value)
            case None | bool():
                return value
            case float():
                return float(value)
            case int():
                return int(value) if abs(value) < _BIGGEST_INT else self._text(hex(value))
            case datetime():
                return value.isoformat()
            case Mapping() if depth < _DEEPEST:
                return {
                    self._text(str(key)): self._value(item, depth + 1)
                    for key, item in value.items()
                }
            case Sequence() | AbstractSet() if depth < _DEEPEST and not isinstance(value, bytes):
                return [self._value(item, depth + 1) for item in value]
            case _:
                return self._text(str(value))

    def _text(self, text: str) -> str:
        # Cut first, and again below: a secret that the first cut halves is behind the second.
        text = self._redact(text[: 2 * _LONGEST_TEXT])
        if len(text) > _LONGEST_TEXT:
            text = text[:_LONGEST_TEXT] + "..."
        return text if text.isprintable() else _CONTROL.sub(" ", text)

    def _traceback(self, text: str) -> str:
        """Clean a traceback; its lines stay apart, each behind a bar that no entry starts with."""
        text = self._redact(text[-3 * _LONGEST_TEXT :])[-2 * _LONGEST_TEXT :]
        text = _CONTROL_BUT_NEWLINE.sub(" ", text)
        return "\n".join(f"| {line}" for line in text.split("\n"))


def _render_json(_logger: WrappedLogger, _method: str, entry: EventDict) -> str:
    head = {"time": entry.pop("time"), "level": entry.pop("level"), "event": entry.pop("event")}
    return msgspec.json.encode({**head, **entry}).decode()


def _console_renderer(stream: TextIO) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        timestamp_key="time",
        exception_formatter=structlog.dev.plain_traceback,  # the default prints local variables
    )


class _Lines:
    """Writes lines to a stream; a full disk or a closed pipe must not fail the program."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return  # there is nowhere left to say so

    debug = info = warning = error = critical = msg


class _Bridge(logging.Handler):
    """Carries entries of the standard library's loggers into the same chain."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # The default would print template and arguments to stderr, uncleaned.
            message = "log entry that does not fit its own arguments"
        entry: dict[str, Any] = {"logger": record.name, "message": message}
        extra = {
            key: value for key, value in record.__dict__.items() if key not in _OF_EVERY_RECORD
        }
        if extra:
            entry["extra"] = extra
        if record.exc_info:
            entry["exc_info"] = record.exc_info
        get_logger().log(_known_level(record.levelno), "library", **entry)


def _known_level(level: int) -> int:
    """Round down to a level that structlog knows; `TRACE` of uvicorn is not one."""
    return max(logging.DEBUG, min(level // 10 * 10, logging.CRITICAL))


def _take_over_stdlib(level: str) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
