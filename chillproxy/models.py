"""What the pool is asked and what it answers."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from infra.secret import Secret

Action = Literal["init", "check-cache", "generate-link"]
Scope = Literal["household", "group", "shared"]
NetworkPolicy = Literal["any", "single_network"]
KeyState = Literal[
    "active", "throttled", "exhausted", "quarantined", "draining", "disabled", "retired"
]

GRANT_VALID_FOR = timedelta(seconds=60)


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which key may this device of this user use?

    Attributes:
        auth: the user's UUID, as in a config; or `user_ref` instead.
        device_ids: opaque texts of 1 to 128 characters: what the device is called now, then what
            it was called under older secrets.
        device_class: kind of client; a device moves to a new address only within its class.
        network: keyed digest of the viewer's network, for keys that allow one network at a time.
        media: what is to be played; a lease is renewed for the same one, replaced by another.
        exclude: ids of keys that have just failed.
    """

    auth: UUID | None = None
    user_ref: UUID | None = None
    device_ids: tuple[str, ...]
    device_class: str = ""
    store: str = "torbox"
    action: Action = "init"
    network: bytes | None = None
    media: str | None = None
    size_bytes: int | None = None
    exclude: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"KeyRequest({self.store}, {self.action})"  # the UUID is a password


class Lease(msgspec.Struct, frozen=True):
    """The right to play one thing with a key. A stale `fence` changes nothing."""

    id: UUID
    fence: int
    expires_at: datetime


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The pool's yes. `lease` is there for `generate-link` only."""

    key_id: int
    key: Secret
    store: str
    user_ref: UUID
    device_id: int | None
    device_count: int
    device_limit: int
    lease: Lease | None = None
    valid_for: timedelta = GRANT_VALID_FOR


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be added; None limits take the default of the scope."""

    store: str
    secret: Secret
    label: str = ""
    scope: Scope = "household"
    max_users: int | None = None
    max_streams: int | None = None
    priority: int = 0
    network_policy: NetworkPolicy | None = None
    owner_user_id: int | None = None
    terms_ack: dict[str, str] | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as people see it: the secret is write-only."""

    id: int
    store: str
    label: str
    scope: Scope
    state: KeyState
    state_reason: str
    network_policy: NetworkPolicy
    priority: int
    max_users: int
    users: int
    max_streams: int
    streams: int
    created_at: datetime


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user to be added; without `auth` a UUID is made."""

    name: str
    max_devices: int = 3
    max_streams: int = 2
    stores: tuple[str, ...] | None = None
    plays_per_day: int | None = None
    bytes_per_month: int | None = None
    expires_at: datetime | None = None
    auth: UUID | None = None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user as people see it."""

    id: int
    ref: UUID
    name: str
    max_devices: int
    devices: int
    max_streams: int
    streams: int
    stores: list[str] | None
    expires_at: datetime | None
    disabled_at: datetime | None
    created_at: datetime


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened. The id makes a repeat harmless."""

    event_id: UUID
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    action: Literal["play", "stream-served", "list", "lease", "error"]
    user_ref: UUID | None = None
    key_id: int | None = None
    device_id: int | None = None
    store: str | None = None
    info_hash: str | None = None
    media: str | None = None
    cached: bool | None = None
    bytes: int | None = None
    size_bytes: int | None = None
    quality: str | None = None


class Changes(msgspec.Struct, frozen=True):
    """What has changed after an epoch: references of users, numbers of devices and keys."""

    epoch: int
    users: list[str] = []
    devices: list[str] = []
    keys: list[str] = []
