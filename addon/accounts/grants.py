"""What the pool says, asked as seldom as its state allows and remembered while it stands."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec

from addon.device import Device
from addon.errors import Scope, StoreError
from addon.key_pool.base import Grant, KeyPool, KeyRequest, PoolRefusal
from infra.cache import SingleFlight, TtlCache
from infra.clock import Clock
from infra.errors import AppError, UpstreamTimeout
from infra.log import get_logger
from infra.metrics import Counts

log = get_logger()

_REFUSAL_FOR = timedelta(seconds=3)  # long enough for a client that asks for each row of a page
_TAP_FOR = timedelta(seconds=15)  # one tap is some twenty requests
_TOLD_FOR = timedelta(seconds=5)
_AWAY_FOR = timedelta(minutes=10)  # lists live on this long when the pool cannot be asked
_LEASE_FOR = timedelta(minutes=90)  # the longest that a lease lives without renewal
_REMEMBERED = 50_000

_OF_THE_KEY = frozenset({Scope.ACCOUNT, Scope.ENDPOINT})

_Key: TypeAlias = tuple[object, ...]


class Play(msgspec.Struct, frozen=True):
    """What a device wants to play."""

    device: Device
    media: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A grant, the state of the pool when it was given, and until when it is fresh."""

    grant: Grant
    state: tuple[int, int]
    fresh_until: float


class Grants:
    """Grants of the pool: one call at a time for each person, device and store."""

    def __init__(self, pool: KeyPool, clock: Clock, pool_timeout: timedelta, asks: Counts) -> None:
        self._pool = pool
        self._asks = asks
        self._clock = clock
        self._seconds = pool_timeout.total_seconds()
        self._lists: TtlCache[_Key, _Remembered] = TtlCache(clock, ttl=_AWAY_FOR, size=_REMEMBERED)
        self._plays: TtlCache[_Key, _Remembered] = TtlCache(clock, ttl=_LEASE_FOR, size=_REMEMBERED)
        self._refusals: TtlCache[_Key, PoolRefusal] = TtlCache(
            clock, ttl=_REFUSAL_FOR, size=_REMEMBERED
        )
        self._asking: SingleFlight[_Key, Grant] = SingleFlight()
        self._told: TtlCache[_Key, bool] = TtlCache(clock, ttl=_TOLD_FOR, size=1_000)
        self._reports = 0

    async def for_list(self, auth: UUID, store: str, device: Device) -> Grant:
        """Return a grant for a list, which takes nothing; an old one while the pool is away.

        Raises:
            PoolRefusal: a rule says no.
            AppError: the pool cannot be asked, and has not said yes in the last ten minutes.
        """
        who = (auth, store, device.ids[0])
        known = self._lists.get(who)
        if known is not None and self._is_fresh(known):
            return known.grant
        refused = self._refusals.get((*who, self._state()))
        if refused is not None:
            raise refused
        request = _request(auth, store, device)
        try:
            return await self._asking.do(
                who, lambda: self._ask(request, self._lists, who, known_for=None)
            )
        except PoolRefusal as refusal:
            self._refusals.put((*who, self._state()), refusal)
            self._lists.pop(who)
            raise
        except AppError:
            if known is None:
                raise
            return known.grant

    async def for_play(self, auth: UUID, store: str, play: Play, exclude: tuple[str, ...]) -> Grant:
        """Seat the device and take or renew its lease; kept for the requests of one tap.

        Raises:
            PoolRefusal: a rule says no.
            AppError: the pool cannot be asked, and no lease that it gave is live.
        """
        who = (auth, store, play.device.ids[0], play.media, exclude)
        known = self._plays.get(who)
        if known is not None and self._is_fresh(known):
            return known.grant
        request = _request(auth, store, play.device, play, exclude)
        try:
            grant = await self._asking.do(
                who, lambda: self._ask(request, self._plays, who, known_for=_TAP_FOR)
            )
        except PoolRefusal:
            self._plays.pop(who)
            raise
        except AppError:
            if known is None or not self._is_live(known.grant):
                raise
            return known.grant
        log.info(
            "pool_key_leased", user_ref=grant.user_ref, device_count=grant.device_count,
            key_id=grant.key_id, store=store,
        )  # fmt: skip
        return grant

    def forget_play(self, auth: UUID, store: str, play: Play) -> None:
        """Forget the lease that a tap would use again: its key has just failed."""
        self._plays.pop((auth, store, play.device.ids[0], play.media, ()))

    async def report(self, grant: Grant, error: StoreError) -> None:
        """Tell the pool of an error that is the key's own; a pool that is away is no obstacle.

        The many requests of one tap meet one error: it is told once.
        """
        told = (grant.key_id, error.kind)
        if error.scope not in _OF_THE_KEY or error.is_ours or self._told.get(told):
            return
        self._told.put(told, True)
        try:
            is_changed = await self._pool.report(grant.key_id, str(error.kind), error.retry_after)
        except AppError as failed:
            log.warning("pool_report_failed", key_id=grant.key_id, reason=failed.message)
        else:
            self._reports += is_changed

    async def _ask(
        self,
        request: KeyRequest,
        memory: TtlCache[_Key, _Remembered],
        who: _Key,
        *,
        known_for: timedelta | None,
    ) -> Grant:
        """Ask the pool within its time-out, without a second try, and remember the answer."""
        state = self._state()
        try:
            async with asyncio.timeout(self._seconds):
                grant = await self._pool.get_key(request)
        except TimeoutError:
            self._asks.add(request.action, "unavailable")
            log.error("pool_unavailable", reason="no answer in time")  # noqa: TRY400  no bug
            raise UpstreamTimeout("the pool did not answer in time", code="auth_failed") from None
        except PoolRefusal as refusal:
            self._asks.add(request.action, refusal.code)
            log.warning(
                "pool_user_refused", user_ref=refusal.user_ref, code=refusal.code,
                store=request.store, action=request.action,
            )  # fmt: skip
            raise
        except AppError as error:
            self._asks.add(request.action, "unavailable")
            log.error("pool_unavailable", reason=error.message)  # noqa: TRY400  no bug
            raise
        self._asks.add(request.action, "ok")
        span = known_for or grant.valid_for
        fresh_until = self._clock.monotonic() + span.total_seconds()
        memory.put(who, _Remembered(grant, state, fresh_until))
        return grant

    def _is_fresh(self, known: _Remembered) -> bool:
        return known.state == self._state() and self._clock.monotonic() < known.fresh_until

    def _state(self) -> tuple[int, int]:
        """Return what changes with the pool, our own reports included: they are heard at once."""
        return self._pool.epoch, self._reports

    def _is_live(self, grant: Grant) -> bool:
        return grant.lease is not None and grant.lease.expires_at > self._clock.now()


def _request(
    auth: UUID,
    store: str,
    device: Device,
    play: Play | None = None,
    exclude: tuple[str, ...] = (),
) -> KeyRequest:
    return KeyRequest(
        auth=auth,
        device_ids=device.ids,
        device_class=device.device_class,
        network=device.network,
        store=store,
        action="check-cache" if play is None else "generate-link",
        media=None if play is None else play.media,
        size_bytes=None if play is None else play.size_bytes,
        exclude=exclude,
    )
