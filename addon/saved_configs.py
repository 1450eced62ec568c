"""Saved configurations: sealed in the database, found by an id that stands in addon URLs only."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import msgspec

from addon.user_config import UserConfig, decode_config_json, decode_user_config
from infra.cache import TtlCache
from infra.clock import Clock
from infra.db import Database
from infra.errors import ConfigInvalid, DatabaseUnavailable, TooMany
from infra.keyring import KeyRing
from infra.log import get_logger
from infra.tasks import Background

log = get_logger()

SEGMENT = "c."
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_ID_BYTES = 16
_LABEL = "saved config"

_FRESH_SECONDS = 10.0  # so late, at most, another process hears of a change
_AWAY_FOR = timedelta(minutes=10)  # lists live on this long when the database is away
_REMEMBERED = 10_000
_USED_BY = timedelta(days=1)

_FAILURES = 5
_FAILURES_FOR = timedelta(minutes=15)


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """One row, opened. `text` is the JSON as it was given."""

    text: bytes
    config: UserConfig
    password_digest: bytes | None
    created_at: datetime
    updated_at: datetime
    used_at: datetime

    def __repr__(self) -> str:
        return f"Saved({self.config!r})"  # the text holds tokens


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What an id led to, and until when that is not asked again."""

    config: UserConfig | None
    fresh_until: float


def digest_of(saved_id: str) -> bytes | None:
    """Return what an id is kept as; None for what is no id."""
    return hashlib.sha256(saved_id.encode()).digest() if _ID.fullmatch(saved_id) else None


class SavedConfigs:
    """The rows, and a short memory of those that lists and plays have opened."""

    def __init__(
        self, database: Database, ring: KeyRing, clock: Clock, background: Background
    ) -> None:
        self._database = database
        self._ring = ring
        self._clock = clock
        self._background = background
        self._memory: TtlCache[bytes, _Remembered] = TtlCache(
            clock, ttl=_AWAY_FOR, size=_REMEMBERED
        )
        self._changes = 0

    async def create(self, text: bytes, *, owner: str | None, password: bytes | None) -> str:
        """Save a configuration and return its id, which nobody can read again."""
        saved_id = secrets.token_urlsafe(_ID_BYTES)
        digest = hashlib.sha256(saved_id.encode()).digest()
        await self._database.execute(
            "insert into saved_configs (id_digest, key_id, sealed, owner, password_digest)"
            " values ($1, $2, $3, $4, $5)",
            digest, self._ring.first, self._seal(digest, text), owner, password,
        )  # fmt: skip
        self._forget(digest)  # an answer "there is none" may be remembered
        return saved_id

    async def find(self, digest: bytes) -> Saved | None:
        """Return a row as it is now; None when there is none, or none that can be opened."""
        row = await self._database.fetchrow(
            "select * from saved_configs where id_digest = $1",  # primary key
            digest,
        )
        return None if row is None else self._opened(row)

    async def open(self, digest: bytes) -> UserConfig | None:
        """Return a configuration for a list or a play, as it was at most ten seconds ago.

        Raises:
            DatabaseUnavailable: the database is away, and the last answer is too old.
        """
        known = self._memory.get(digest)
        if known is not None and self._clock.monotonic() < known.fresh_until:
            return known.config
        changes = self._changes
        try:
            saved = await self.find(digest)
        except DatabaseUnavailable:
            if known is None:
                raise
            return known.config
        config = None
        if saved is not None:
            config = msgspec.structs.replace(saved.config, saved=digest)
            if self._clock.now() - saved.used_at > _USED_BY:
                self._background.start("saved config used", self._note_use(digest, saved))
        if changes == self._changes:  # else the row may be an older one by now
            fresh_until = self._clock.monotonic() + _FRESH_SECONDS
            self._memory.put(digest, _Remembered(config, fresh_until))
        return config

    async def change(
        self, digest: bytes, text: bytes, *, owner: str | None, password: bytes | None
    ) -> bool:
        """Replace a configuration, and its password if one is given; False when it is gone."""
        tag = await self._database.execute(
            "update saved_configs set key_id = $2, sealed = $3, owner = $4,"
            " password_digest = coalesce($5, password_digest), updated_at = now()"
            " where id_digest = $1",
            digest, self._ring.first, self._seal(digest, text), owner, password,
        )  # fmt: skip
        self._forget(digest)
        return tag != "UPDATE 0"

    async def delete(self, digest: bytes) -> bool:
        """Delete a configuration; False when it was gone already."""
        tag = await self._database.execute("delete from saved_configs where id_digest = $1", digest)
        self._forget(digest)
        return tag != "DELETE 0"

    def _forget(self, digest: bytes) -> None:
        self._changes += 1
        self._memory.pop(digest)

    def _seal(self, digest: bytes, text: bytes) -> bytes:
        return self._ring.seal(_LABEL, text, digest)

    def _opened(self, row: asyncpg.Record) -> Saved | None:
        text = self._ring.open(_LABEL, row["key_id"], row["sealed"], row["id_digest"])
        if text is None:
            log.warning("saved_config_locked", key_id=row["key_id"])
            return None
        return Saved(
            text=text,
            config=decode_config_json(text),
            password_digest=row["password_digest"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            used_at=row["used_at"],
        )

    async def _note_use(self, digest: bytes, saved: Saved) -> None:
        """Keep the day, and seal anew: the key that has sealed it may leave the ring one day."""
        await self._database.execute(
            "update saved_configs set used_at = now(), key_id = $2, sealed = $3"
            " where id_digest = $1 and updated_at = $4",  # not what was changed meanwhile
            digest, self._ring.first, self._seal(digest, saved.text), saved.updated_at,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConfigReader:
    """Reads the config segment of a URL, whichever of its two forms it has."""

    saved: SavedConfigs

    async def read(self, segment: str) -> UserConfig:
        """Return the configuration.

        Raises:
            ConfigInvalid: it cannot be read, or is not, or no longer, saved.
            DatabaseUnavailable: it is saved, and the database is away.
        """
        if not segment.startswith(SEGMENT):
            return decode_user_config(segment)
        digest = digest_of(segment.removeprefix(SEGMENT))
        config = None if digest is None else await self.saved.open(digest)
        if config is None:
            raise ConfigInvalid("there is no such saved configuration")
        return config


class EditAttempts:
    """Counts wrong UUIDs and passwords; whoever tries too often waits."""

    def __init__(self, clock: Clock) -> None:
        self._failures: TtlCache[str, int] = TtlCache(clock, ttl=_FAILURES_FOR, size=50_000)

    def begin(self, key: str) -> None:
        """Count an attempt as failed until `succeeded`, so that a burst of them counts, too.

        Raises:
            TooMany: five have failed within a quarter of an hour.
        """
        failures = self._failures.get(key) or 0
        if failures >= _FAILURES:
            raise TooMany("Too many wrong attempts", retry_after=_FAILURES_FOR)
        self._failures.put(key, failures + 1)

    def succeeded(self, key: str) -> None:
        """Forget the failures."""
        self._failures.pop(key)
