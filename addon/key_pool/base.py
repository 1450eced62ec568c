"""What the addon asks of a pool, wherever the pool runs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from infra.errors import AppError
from infra.secret import Secret

Action = Literal["init", "check-cache", "generate-link"]
UsageAction = Literal["play", "stream-served", "list", "lease", "error"]


class PoolRefusal(AppError):
    """The pool said no: `code` says why, `limit` and `until` how much and for how long.

    `user_ref` names the user for the log, where there is one.
    """

    status = 403
    shown = True

    def __init__(
        self,
        message: str,
        *,
        code: str,
        limit: int | None = None,
        until: datetime | None = None,
        retry_after: timedelta | None = None,
        user_ref: str | None = None,
    ) -> None:
        super().__init__(message, code=code, retry_after=retry_after)
        self.limit = limit
        self.until = until
        self.user_ref = user_ref


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which key may this device of this user use for that store? (`device_ids`: newest first)."""

    auth: UUID
    device_ids: tuple[str, ...]
    device_class: str
    network: bytes
    store: str
    action: Action
    media: str | None = None
    size_bytes: int | None = None
    exclude: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"KeyRequest({self.store}, {self.action})"  # the UUID is a password


class Lease(msgspec.Struct, frozen=True):
    """The right to play, until `expires_at` or until it is renewed."""

    id: UUID
    fence: int
    expires_at: datetime


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The pool's yes."""

    key_id: str
    key: Secret
    store: str
    user_ref: str
    device_id: str | None
    device_count: int
    valid_for: timedelta
    lease: Lease | None = None


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened; its id makes a repeat harmless."""

    event_id: UUID
    at: datetime
    action: UsageAction
    user_ref: str | None = None
    key_id: str | None = None
    device_id: str | None = None
    store: str | None = None
    info_hash: str | None = None
    media: str | None = None
    cached: bool | None = None
    bytes: int | None = None
    size_bytes: int | None = None
    quality: str | None = None


class KeyPool(Protocol):
    """The pool. Its answers are `PoolRefusal`, `AppError` when it cannot be asked, or a grant."""

    @property
    def epoch(self) -> int:
        """A number that changes when a grant may no longer hold."""

    async def get_key(self, request: KeyRequest) -> Grant:
        """Return a key.

        Raises:
            PoolRefusal: a rule says no.
            AppError: the pool cannot be asked.
        """

    async def report(self, key_id: str, kind: str, retry_after: timedelta | None = None) -> bool:
        """Tell the pool what a provider said of a key; True when its state changed by it."""

    async def release(self, lease: Lease) -> None:
        """End a lease early; one that is over is no error."""

    async def log_usage(self, events: Sequence[UsageEvent]) -> None:
        """Hand events over, each once whatever is repeated."""
