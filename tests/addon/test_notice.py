"""The table of what a viewer sees instead of an error."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import addon.playback
from addon.errors import Kind, StoreError
from addon.key_pool.base import PoolRefusal
from addon.playback.notice import NOTICES, Notice, notice_for
from chillproxy.errors import _MESSAGES as REFUSALS
from chillproxy.errors import Refused
from infra.errors import (
    AppError,
    ConfigInvalid,
    DatabaseUnavailable,
    DataRefused,
    ReplyInvalid,
    TooMany,
    UpstreamTimeout,
    UpstreamUnavailable,
)

CLIPS = Path(addon.playback.__file__).parent / "clips"
# What the addon promises to clients, code by code.
PROMISED = {
    "auth_failed": "Authentication failed",
    "device_limit": "Maximum device limit reached",
    "stream_limit": "Too many streams at once",
    "invalid_auth": "Invalid auth format, expected UUID",
    "unknown_user": "User is disabled or unknown",
    "store_not_allowed": "This store is not allowed for you",
    "network_conflict": "The key is in use on another network",
    "no_key": "No pool key available",
    "pool_busy": "Pool is busy, try again",
    "quota_exceeded": "Quota used up",
    "too_many_requests": "Too many requests",
    "rate_limited": "Provider rate limit",
    "provider_down": "The provider does not answer",
    "downloading": "Not cached yet: download started",
    "no_match": "No matching file",
    "removed": "Removed for legal reasons",
    "key_problem": "Key or subscription problem",
    "config_invalid": "Configuration cannot be read",
    "internal_error": "Something went wrong on this server",
}


def test_every_promised_code_has_its_title() -> None:
    assert {code: notice.title for code, notice in NOTICES.items()} == PROMISED


@pytest.mark.parametrize("code", NOTICES)
def test_code_has_a_clip_that_players_take(code: str) -> None:
    clip = (CLIPS / f"{code}.mp4").read_bytes()

    assert clip[4:8] == b"ftyp"
    # The index in front: a player that reads from the start can begin at once.
    assert 0 < clip.find(b"moov") < clip.find(b"mdat")


def test_no_clip_is_left_over() -> None:
    assert {clip.stem for clip in CLIPS.glob("*.mp4")} == set(NOTICES)


@pytest.mark.parametrize("notice", NOTICES.values(), ids=NOTICES)
def test_texts_are_plain_sentences(notice: Notice) -> None:
    assert notice.title.isprintable()
    assert len(notice.title) <= 60
    assert notice.advice.isprintable()
    assert notice.advice.endswith(".")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.AUTH_INVALID, "key_problem"),
        (Kind.PREMIUM_REQUIRED, "key_problem"),
        (Kind.ACCOUNT_LOCKED, "key_problem"),
        (Kind.IP_BLOCKED, "key_problem"),
        (Kind.RATE_LIMITED, "rate_limited"),
        (Kind.SLOTS_FULL, "pool_busy"),
        (Kind.QUOTA_EXHAUSTED, "quota_exceeded"),
        (Kind.TOO_LARGE, "no_match"),
        (Kind.BAD_TORRENT, "no_match"),
        (Kind.INFRINGING, "removed"),
        (Kind.NOT_CACHED, "downloading"),
        (Kind.NOT_FOUND, "no_match"),
        (Kind.NOT_READY, "downloading"),
        (Kind.FILE_GONE, "no_match"),
        (Kind.HOSTER_DOWN, "provider_down"),
        (Kind.SERVICE_UNAVAILABLE, "provider_down"),
        (Kind.UNSUPPORTED, "no_match"),
        (Kind.BAD_REQUEST, "internal_error"),
        (Kind.PROTOCOL, "provider_down"),
        (Kind.UNKNOWN, "provider_down"),
    ],
)
def test_error_of_a_store_has_a_row(kind: Kind, code: str) -> None:
    error = StoreError(kind, store="torbox", operation="link")

    assert notice_for(error).code == code


def test_every_kind_has_a_row() -> None:
    for kind in Kind:
        assert notice_for(StoreError(kind, store="torbox", operation="add")) in NOTICES.values()


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("unknown_user", "unknown_user"),
        ("user_disabled", "unknown_user"),
        ("user_expired", "unknown_user"),
        ("store_not_allowed", "store_not_allowed"),
        ("device_limit", "device_limit"),
        ("stream_limit", "stream_limit"),
        ("no_key", "no_key"),
        ("pool_busy", "pool_busy"),
        ("quota_exceeded", "quota_exceeded"),
        ("network_conflict", "network_conflict"),
        ("locked", "auth_failed"),
    ],
)
def test_refusal_of_the_pool_has_a_row(refusal: str, code: str) -> None:
    own = Refused(refusal, limit=3, until=datetime(2026, 1, 1, tzinfo=UTC))
    carried = PoolRefusal(own.message, code=own.code)

    assert notice_for(own).code == code
    assert notice_for(carried).code == code


def test_no_refusal_of_the_pool_is_left_out() -> None:
    until = datetime(2026, 1, 1, tzinfo=UTC)

    rows = {code: notice_for(Refused(code, until=until)).code for code in REFUSALS}

    assert "internal_error" not in rows.values()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigInvalid("x"), "config_invalid"),
        (TooMany("x"), "too_many_requests"),
        (AppError("x", code="invalid_auth"), "invalid_auth"),
        (UpstreamTimeout("x", code="auth_failed"), "auth_failed"),
        (DatabaseUnavailable("x"), "auth_failed"),
        (UpstreamTimeout("x"), "provider_down"),
        (UpstreamUnavailable("x"), "provider_down"),
        (ReplyInvalid("x"), "provider_down"),
        (DataRefused("x"), "internal_error"),
        (AppError("x"), "internal_error"),
        (AppError("x", code="../../etc/passwd"), "internal_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_error_has_a_row(error: AppError, code: str) -> None:
    assert notice_for(error).code == code
