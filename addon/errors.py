"""What debrid stores say when they refuse or fail, in one vocabulary."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from infra.errors import UpstreamError


class Kind(StrEnum):
    """What a store's error means for a decision; one value for all stores."""

    AUTH_INVALID = "auth_invalid"
    PREMIUM_REQUIRED = "premium_required"
    ACCOUNT_LOCKED = "account_locked"
    IP_BLOCKED = "ip_blocked"
    RATE_LIMITED = "rate_limited"
    SLOTS_FULL = "slots_full"
    QUOTA_EXHAUSTED = "quota_exhausted"
    TOO_LARGE = "too_large"
    BAD_TORRENT = "bad_torrent"
    INFRINGING = "infringing"
    NOT_CACHED = "not_cached"
    NOT_FOUND = "not_found"
    NOT_READY = "not_ready"
    FILE_GONE = "file_gone"
    FILE_MISSING = "file_missing"
    HOSTER_DOWN = "hoster_down"
    SERVICE_UNAVAILABLE = "service_unavailable"
    UNSUPPORTED = "unsupported"
    BAD_REQUEST = "bad_request"
    PROTOCOL = "protocol"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """Whom an error of a store concerns."""

    REQUEST = "request"
    ITEM = "item"
    ENDPOINT = "endpoint"
    ACCOUNT = "account"
    SERVICE = "service"


class Retry(StrEnum):
    """Whether trying again helps."""

    NEVER = "never"
    BACKOFF = "backoff"
    AFTER = "after"
    USER_ACTION = "user_action"


@dataclass(frozen=True, slots=True)
class _Meaning:
    scope: Scope
    retry: Retry


_MEANING: dict[Kind, _Meaning] = {
    Kind.AUTH_INVALID: _Meaning(Scope.ACCOUNT, Retry.USER_ACTION),
    Kind.PREMIUM_REQUIRED: _Meaning(Scope.ACCOUNT, Retry.USER_ACTION),
    Kind.ACCOUNT_LOCKED: _Meaning(Scope.ACCOUNT, Retry.USER_ACTION),
    Kind.IP_BLOCKED: _Meaning(Scope.ACCOUNT, Retry.USER_ACTION),
    Kind.RATE_LIMITED: _Meaning(Scope.ENDPOINT, Retry.AFTER),
    Kind.SLOTS_FULL: _Meaning(Scope.ACCOUNT, Retry.AFTER),
    Kind.QUOTA_EXHAUSTED: _Meaning(Scope.ACCOUNT, Retry.AFTER),
    Kind.TOO_LARGE: _Meaning(Scope.ITEM, Retry.NEVER),
    Kind.BAD_TORRENT: _Meaning(Scope.ITEM, Retry.NEVER),
    Kind.INFRINGING: _Meaning(Scope.ITEM, Retry.NEVER),
    Kind.NOT_CACHED: _Meaning(Scope.ITEM, Retry.AFTER),
    Kind.NOT_FOUND: _Meaning(Scope.ITEM, Retry.NEVER),
    Kind.NOT_READY: _Meaning(Scope.ITEM, Retry.BACKOFF),
    Kind.FILE_GONE: _Meaning(Scope.ITEM, Retry.NEVER),
    Kind.FILE_MISSING: _Meaning(Scope.ITEM, Retry.NEVER),
    Kind.HOSTER_DOWN: _Meaning(Scope.ITEM, Retry.BACKOFF),
    Kind.SERVICE_UNAVAILABLE: _Meaning(Scope.SERVICE, Retry.BACKOFF),
    Kind.UNSUPPORTED: _Meaning(Scope.REQUEST, Retry.NEVER),
    Kind.BAD_REQUEST: _Meaning(Scope.REQUEST, Retry.NEVER),
    Kind.PROTOCOL: _Meaning(Scope.SERVICE, Retry.BACKOFF),
    Kind.UNKNOWN: _Meaning(Scope.ITEM, Retry.BACKOFF),
}


class StoreError(UpstreamError):
    """A debrid store refused or failed.

    Decisions look at `kind`, `scope` and `retry`, never at the text. `message` is what the store
    said, without its URL; it is for the log. `is_ours`: our own call budget said no, the store was
    not asked, so nothing is wrong with the key.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        store: str,
        operation: str,
        message: str = "",
        provider_code: str | None = None,
        http_status: int | None = None,
        retry_after: timedelta | None = None,
        is_ours: bool = False,
    ) -> None:
        super().__init__(
            f"{store} {operation}: {kind}{': ' + message if message else ''}",
            code=str(kind),
            retry_after=retry_after,
        )
        self.kind = kind
        self.scope = _MEANING[kind].scope
        self.retry = _MEANING[kind].retry
        self.store = store
        self.operation = operation
        self.provider_code = provider_code
        self.http_status = http_status
        self.is_ours = is_ours
