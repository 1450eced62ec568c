"""No secret and no control character gets into a log, whoever writes it and wherever it stands."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

import msgspec
import pytest
import structlog

from infra.log import configure_logging, get_logger
from infra.secret import Redactor, Secret
from tests.fakes.journal import Journal, recorded_logs

CANARY = "CANARY-5f1e9b0c"
STYLES: tuple[Literal["json", "console"], ...] = ("json", "console")

log = get_logger()
library = logging.getLogger("some.library")


class Account(msgspec.Struct):
    name: str
    key: str


class Colour(StrEnum):
    RED = "red"


class Unlucky(Exception):
    pass


def _raise(*args: object) -> None:
    raise Unlucky(*args)


def _log_exception() -> None:
    try:
        _raise(f"refused key {CANARY}")
    except Unlucky:
        log.exception("broke")


def _log_chained_exception() -> None:
    try:
        try:
            _raise(CANARY, {"key": CANARY})
        except Unlucky as error:
            raise ValueError("outer") from error
    except ValueError as error:
        error.add_note(f"with {CANARY}")
        log.exception("broke")


def _log_library_exception() -> None:
    try:
        _raise(CANARY)
    except Unlucky:
        library.exception("failed with %s", CANARY)


def _log_in_context() -> None:
    with structlog.contextvars.bound_contextvars(caller=CANARY):
        log.info("event")


def _warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(capture=True)
        warnings.warn(f"old key {CANARY}", stacklevel=1)


POSITIONS: dict[str, Callable[[], None]] = {
    "event": lambda: log.info(f"using {CANARY}"),  # noqa: G004 the case in question
    "key": lambda: log.info("event", **{CANARY: 1}),
    "value": lambda: log.info("event", key=CANARY),
    "inside-a-text": lambda: log.info("event", url=f"https://api.example/x?k={CANARY}&y=1"),
    "nested-value": lambda: log.info("event", data={"a": [{"b": (CANARY,)}]}),
    "nested-key": lambda: log.info("event", data={"a": {CANARY: 1}}),
    "deeper-than-anybody-nests": lambda: log.info("event", a=[[[[[[[[[{"k": CANARY}]]]]]]]]]),
    "set": lambda: log.info("event", data={CANARY}),
    "bytes": lambda: log.info("event", data=CANARY.encode()),
    "object": lambda: log.info("event", account=Account("a", CANARY)),
    "error-as-value": lambda: log.info("event", error=Unlucky(CANARY)),
    "exception": _log_exception,
    "chained-exception-args-and-note": _log_chained_exception,
    "secret": lambda: log.info("event", key=Secret(CANARY)),
    "secret-in-f-string": lambda: log.info(f"key {Secret(CANARY)}"),  # noqa: G004
    "context": _log_in_context,
    "library-message": lambda: library.warning("key %s", CANARY),
    "library-f-string": lambda: library.warning(f"key {CANARY}"),
    "library-extra": lambda: library.warning("event", extra={"key": CANARY}),
    "library-extra-key": lambda: library.warning("event", extra={CANARY: "x"}),
    "library-args-that-do-not-fit": lambda: library.warning("%d", CANARY),
    "library-exception": _log_library_exception,
    "warning": _warn,
}


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.learn(Secret(CANARY), lasting=True)
    return redactor


@pytest.fixture
def journal(redactor: Redactor) -> Iterator[Journal]:
    with recorded_logs(redactor=redactor) as journal:
        yield journal


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("position", POSITIONS)
def test_secret_is_not_logged(
    redactor: Redactor,
    capsys: pytest.CaptureFixture[str],
    style: Literal["json", "console"],
    position: str,
) -> None:
    with recorded_logs(style=style, redactor=redactor) as journal:
        POSITIONS[position]()

    assert journal.text
    assert CANARY not in journal.text
    assert CANARY not in "".join(capsys.readouterr())


ATTACKS: dict[str, Callable[[str], None]] = {
    "event": lambda text: log.info(text),  # noqa: PLW0108 the logger is made at the call
    "value": lambda text: log.info("event", agent=text),
    "key": lambda text: log.info("event", **{text: 1}),
    "nested": lambda text: log.info("event", data=[{text: text}]),
    "library": lambda text: library.warning("agent %s", text),
    "library-extra": lambda text: library.warning("event", extra={"agent": text}),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("position", ATTACKS)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param('\x1b[2J\n{"level":"fake"}', id="escape-and-line"),
        pytest.param('\r\n{"level":"fake"}', id="carriage-return"),
        pytest.param('\u2028{"level":"fake"}', id="line-separator"),
        pytest.param("\x9b2J\x85{}", id="c1"),
        pytest.param("\u202e txt.exe", id="direction-override"),
        pytest.param("\ud800", id="half-a-surrogate-pair"),
    ],
)
def test_text_from_outside_starts_no_line_and_drives_no_terminal(
    style: Literal["json", "console"], position: str, text: str
) -> None:
    with recorded_logs(style=style) as journal:
        ATTACKS[position](text)

    line = journal.text.removesuffix("\n")
    assert line
    assert line.isprintable()


@pytest.mark.parametrize("style", STYLES)
def test_text_in_an_exception_starts_no_entry(style: Literal["json", "console"]) -> None:
    with recorded_logs(style=style) as journal:
        try:
            _raise('x\x1b[2J\n{"level":"fake"}')
        except Unlucky:
            log.exception("broke")

    assert "\x1b" not in journal.text
    assert not [line for line in journal.text.splitlines() if line.startswith('{"level":"fake"')]


def test_traceback_keeps_its_lines(journal: Journal) -> None:
    _log_exception()

    (entry,) = journal.entries
    lines = entry["exception"].splitlines()
    assert lines[0] == "| Traceback (most recent call last):"
    assert lines[-1].endswith("Unlucky: refused key ***")
    assert all(line.startswith("| ") for line in lines)


def test_entry_says_when_and_how_grave_before_anything_else(journal: Journal) -> None:
    log.warning("pool_user_refused", code="device_limit")

    (entry,) = journal.entries
    assert list(entry) == ["time", "level", "event", "code"]
    assert entry["level"] == "warning"
    assert datetime.fromisoformat(entry["time"]).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        pytest.param(None, None, id="none"),
        pytest.param(True, True, id="bool"),
        pytest.param(2**63 - 1, 2**63 - 1, id="int"),
        pytest.param(2**70, hex(2**70), id="int-too-big-for-json-readers"),
        pytest.param(float("nan"), None, id="nan"),
        pytest.param(datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00", id="time"),
        pytest.param(timedelta(seconds=90), "0:01:30", id="span"),
        pytest.param(Colour.RED, "red", id="enum"),
        pytest.param(frozenset({1}), [1], id="set"),
        pytest.param("x" * 10_000, "x" * 8_000 + "...", id="endless-text"),
        pytest.param("Amélie 電影", "Amélie 電影", id="scripts-of-people"),
    ],
)
def test_value_is_logged_as(journal: Journal, value: object, logged: object) -> None:
    log.info("event", value=value)

    assert journal.entries[0]["value"] == logged


def test_entries_below_the_level_are_dropped(journal: Journal) -> None:
    log.debug("detail")
    library.debug("detail")

    assert journal.text == ""


def test_entry_of_a_library_names_it(journal: Journal) -> None:
    library.warning("took %d ms", 5, extra={"attempt": 2})

    (entry,) = journal.entries
    expected = {"level": "warning", "logger": "some.library", "message": "took 5 ms"}
    assert expected.items() <= entry.items()
    assert entry["extra"] == {"attempt": 2}


def test_level_between_the_usual_ones_is_rounded_down(journal: Journal) -> None:
    library.log(logging.WARNING + 5, "odd")

    assert journal.entries[0]["level"] == "warning"


def test_configuring_again_does_not_double_entries_of_libraries(journal: Journal) -> None:
    configure_logging("info", "json", Redactor(), journal.stream)

    library.warning("once")

    assert len(journal.entries) == 1


def test_broken_stream_does_not_fail_the_program() -> None:
    with recorded_logs() as journal:
        journal.stream.close()

        log.info("nobody reads this")
        library.warning("nor this")

    assert journal.stream.closed


def test_stream_that_knows_only_ascii_does_not_fail_the_program() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with recorded_logs():
        configure_logging("info", "json", Redactor(), stream)

        log.info("電影")

    assert not stream.closed
