"""The pool's no."""

from datetime import datetime, timedelta
from uuid import UUID

from infra.errors import AppError, Conflict, Unprocessable

_MESSAGES = {
    "unknown_user": "User not found or inactive",
    "user_disabled": "User is disabled",
    "user_expired": "User has expired",
    "store_not_allowed": "This store is not allowed for this user",
    "device_limit": "Maximum device limit ({limit}) reached",
    "stream_limit": "Too many streams at once ({limit})",
    "no_key": "No pool key available",
    "pool_busy": "Pool is busy, try again",
    "quota_exceeded": "Quota used up until {until:%Y-%m-%d %H:%M} UTC",
    "network_conflict": "The key is in use on another network",
    "locked": "The pool is locked: its encryption key is missing",
}


class Refused(AppError):
    """A rule of the pool says no: an answer, not a fault."""

    status = 403
    shown = True

    def __init__(
        self,
        code: str,
        *,
        limit: int | None = None,
        until: datetime | None = None,
        retry_after: timedelta | None = None,
        user_ref: UUID | None = None,
        device_count: int = 0,
        device_limit: int = 0,
    ) -> None:
        super().__init__(
            _MESSAGES[code].format(limit=limit, until=until), code=code, retry_after=retry_after
        )
        self.limit = limit
        self.until = until
        self.user_ref = user_ref
        self.device_count = device_count
        self.device_limit = device_limit


class KeyAlreadyThere(Conflict):
    """The same secret is in the pool already."""

    code = "key_exists"


class TermsNotAcknowledged(Unprocessable):
    """A scope beyond a household needs the operator to acknowledge the provider's rule."""

    code = "terms_not_acknowledged"
