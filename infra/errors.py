"""The error tree: what is shown to whom is decided by the class, never by a text."""

from datetime import timedelta
from typing import ClassVar


class AppError(Exception):
    """An error that we understand.

    Attributes:
        code: for machines, one word in snake case.
        status: the HTTP status that fits.
        message: for people; shown to callers for `CallerError` and `PoolRefusal` only.
        retry_after: how long to wait before trying again, where that is known.
    """

    code: str = "internal_error"
    status: ClassVar[int] = 500
    shown: ClassVar[bool] = False

    def __init__(
        self, message: str, *, code: str | None = None, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        if code is not None:
            self.code = code


class CallerError(AppError):
    """The caller can mend it, so the message is shown."""

    code = "bad_request"
    status = 400
    shown = True


class ConfigInvalid(CallerError):
    """A configuration that cannot be read."""

    code = "config_invalid"


class Unauthorized(CallerError):
    """No valid credential."""

    code = "unauthorized"
    status = 401


class Forbidden(CallerError):
    """A credential that is not enough."""

    code = "forbidden"
    status = 403


class NotFound(CallerError):
    """No such thing, or none that this caller may see."""

    code = "not_found"
    status = 404


class Conflict(CallerError):
    """The present state does not allow it."""

    code = "conflict"
    status = 409


class Unprocessable(CallerError):
    """Well-formed, and still not something that can be done."""

    code = "unprocessable"
    status = 422


class TooMany(CallerError):
    """A limit of ours on requests."""

    code = "too_many_requests"
    status = 429


class UpstreamError(AppError):
    """Someone else's server failed; logged in full, shown in general words."""

    code = "upstream_error"
    status = 502


class UpstreamTimeout(UpstreamError):
    """It did not answer within the deadline of the flow."""

    code = "upstream_timeout"
    status = 504


class UpstreamUnavailable(UpstreamError):
    """It could not be reached, or it says that it is not working."""

    code = "upstream_unavailable"


class ReplyInvalid(UpstreamError):
    """It answered with something that does not follow its own protocol, or that is too big."""

    code = "reply_invalid"


class DatabaseUnavailable(AppError):
    """Postgres cannot be reached just now; it may be back within seconds."""

    code = "database_unavailable"
    status = 503


class DataRefused(AppError):
    """Postgres will never take a value (a number out of range, a character it does not keep)."""

    code = "data_refused"
    status = 400
