"""What a viewer sees instead of an error: one table from code to entry, clip and log level."""

from typing import Literal

import msgspec

from addon.errors import Kind, StoreError
from infra.errors import AppError, DatabaseUnavailable, UpstreamError

Level = Literal["info", "warning", "error"]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One row: `title` and `advice` stand in the entry and in the clip `{code}.mp4`."""

    code: str
    title: str
    advice: str
    level: Level = "warning"


NOTICES: dict[str, Notice] = {
    notice.code: notice
    for notice in (
        Notice(
            code="auth_failed",
            title="Authentication failed",
            advice="The key pool cannot be reached. Try again in a minute.",
            level="error",
        ),
        Notice(
            code="device_limit",
            title="Maximum device limit reached",
            advice="Ask the operator to remove a device that you no longer use.",
        ),
        Notice(
            code="stream_limit",
            title="Too many streams at once",
            advice="Stop playing on another device, then try again.",
        ),
        Notice(
            code="invalid_auth",
            title="Invalid auth format, expected UUID",
            advice="Install the addon again from the link that you were given.",
        ),
        Notice(
            code="unknown_user",
            title="User is disabled or unknown",
            advice="Ask the operator for a new link.",
        ),
        Notice(
            code="store_not_allowed",
            title="This store is not allowed for you",
            advice="Ask the operator, or choose another store.",
        ),
        Notice(
            code="network_conflict",
            title="The key is in use on another network",
            advice="Its provider allows one network at a time. Try again later.",
        ),
        Notice(
            code="no_key",
            title="No pool key available",
            advice="All places are taken. Ask the operator.",
        ),
        Notice(
            code="pool_busy",
            title="Pool is busy, try again",
            advice="Every stream of the pool is in use right now.",
            level="info",
        ),
        Notice(
            code="quota_exceeded",
            title="Quota used up",
            advice="It is renewed with time. Try again later.",
            level="info",
        ),
        Notice(
            code="too_many_requests",
            title="Too many requests",
            advice="Wait a minute, then try again.",
        ),
        Notice(
            code="rate_limited",
            title="Provider rate limit",
            advice="The provider asks us to slow down. Try again in a minute.",
        ),
        Notice(
            code="provider_down",
            title="The provider does not answer",
            advice="Try again in a few minutes.",
        ),
        Notice(
            code="downloading",
            title="Not cached yet: download started",
            advice="Try again later, or choose a stream that is cached.",
            level="info",
        ),
        Notice(
            code="no_match",
            title="No matching file",
            advice="This torrent does not hold what it promised. Choose another stream.",
            level="info",
        ),
        Notice(
            code="removed",
            title="Removed for legal reasons",
            advice="The provider no longer offers it. Choose another stream.",
            level="info",
        ),
        Notice(
            code="key_problem",
            title="Key or subscription problem",
            advice="The provider refuses the key. Check it, or ask the operator.",
            level="error",
        ),
        Notice(
            code="config_invalid",
            title="Configuration cannot be read",
            advice="Install the addon again from the link that you were given.",
        ),
        Notice(
            code="internal_error",
            title="Something went wrong on this server",
            advice="Try again. The operator finds the details in the log.",
            level="error",
        ),
    )
}

_BY_KIND: dict[Kind, str] = {
    Kind.AUTH_INVALID: "key_problem",
    Kind.PREMIUM_REQUIRED: "key_problem",
    Kind.ACCOUNT_LOCKED: "key_problem",
    Kind.IP_BLOCKED: "key_problem",
    Kind.RATE_LIMITED: "rate_limited",
    Kind.SLOTS_FULL: "pool_busy",
    Kind.QUOTA_EXHAUSTED: "quota_exceeded",
    Kind.TOO_LARGE: "no_match",
    Kind.BAD_TORRENT: "no_match",
    Kind.INFRINGING: "removed",
    Kind.NOT_CACHED: "downloading",
    Kind.NOT_FOUND: "no_match",
    Kind.NOT_READY: "downloading",
    Kind.FILE_GONE: "no_match",
    Kind.FILE_MISSING: "no_match",
    Kind.HOSTER_DOWN: "provider_down",
    Kind.SERVICE_UNAVAILABLE: "provider_down",
    Kind.UNSUPPORTED: "no_match",
    Kind.BAD_REQUEST: "internal_error",
    Kind.PROTOCOL: "provider_down",
    Kind.UNKNOWN: "provider_down",
}

# Refusals of the pool that a viewer need not tell apart.
_BY_REFUSAL = {
    "user_disabled": "unknown_user",
    "user_expired": "unknown_user",
    "locked": "auth_failed",
}


def notice_for(error: AppError) -> Notice:
    """Return the row for an error; an unknown one is an internal error."""
    if isinstance(error, StoreError):
        return NOTICES[_BY_KIND[error.kind]]
    code = _BY_REFUSAL.get(error.code, error.code)
    if code in NOTICES:
        return NOTICES[code]
    if isinstance(error, DatabaseUnavailable):
        return NOTICES["auth_failed"]
    return NOTICES["provider_down" if isinstance(error, UpstreamError) else "internal_error"]
