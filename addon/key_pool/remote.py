"""The pool on another server, asked over HTTP; a first-generation one is good enough.

What an older pool does not have (`report`, `release`, `changes`) it answers with 404: that is
noted once and not asked again.
"""

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from addon.key_pool.base import Grant, KeyRequest, Lease, PoolRefusal, UsageEvent
from infra.clock import Clock, Deadline
from infra.errors import DataRefused, UpstreamUnavailable
from infra.http_client import HttpClient, Reply
from infra.log import get_logger
from infra.secret import Redactor, Secret

log = get_logger()

_BASE = "/api/v1/internal/pool"
_ASK_SECONDS = 30.0  # an upper bound; callers have deadlines of their own
_POLL_SECONDS = 30.0  # the pool holds a poll for 25
_WITHOUT_CHANGES = timedelta(seconds=10)
_LEASE = timedelta(minutes=90)

# How first-generation pools say no: there is a message and no code.
_BY_MESSAGE = (
    (re.compile(r"device", re.IGNORECASE), "device_limit"),
    (re.compile(r"user", re.IGNORECASE), "unknown_user"),
    (re.compile(r"key", re.IGNORECASE), "no_key"),
)


class _Answer(msgspec.Struct, rename="camel"):
    allowed: bool = False
    message: str = ""
    code: str | None = None
    pool_key: str = ""
    pool_key_id: str = ""
    device_count: int = 0
    store: str | None = None
    user_ref: str | None = None
    device_ref: int | None = None
    valid_for_seconds: float = 60
    epoch: int | None = None
    lease_id: UUID | None = None
    fence: int = 0
    lease_expires_at: datetime | None = None
    limit: int | None = None
    until: datetime | None = None
    retry_after_seconds: float | None = None


class _Logged(msgspec.Struct):
    rejected: list[msgspec.Raw] = []


class _Changes(msgspec.Struct):
    epoch: int


class _Reported(msgspec.Struct, rename="camel"):
    retry_with_another_key: bool = False


class RemoteKeyPool:
    """Asks a pool service; `watch` must run as a background task."""

    def __init__(
        self,
        http: HttpClient,
        clock: Clock,
        redactor: Redactor,
        base_url: str,
        api_key: Secret,
    ) -> None:
        self._http = http
        self._clock = clock
        self._redactor = redactor
        self._base = base_url
        self._api_key = api_key
        self._epoch = 0
        self._missing: set[str] = set()

    @property
    def epoch(self) -> int:
        """The pool's epoch as last heard."""
        return self._epoch

    async def watch(self) -> None:
        """Follow the pool's changes for ever; does nothing for a pool that tells none."""
        while "changes" not in self._missing:
            reply = await self._send(
                "GET", f"changes?since={self._epoch}", Deadline.after(_POLL_SECONDS)
            )
            if self._is_missing("changes", reply):
                break
            self._epoch = _checked(reply).decode(_Changes).epoch
        await asyncio.Event().wait()

    async def get_key(self, request: KeyRequest) -> Grant:
        """Return a key; see `KeyPool`."""
        reply = await self._send("POST", "get-key", Deadline.after(_ASK_SECONDS), _wire(request))
        answer = _checked(reply).decode(_Answer)
        if not answer.allowed:
            raise _refusal(answer)
        if not answer.pool_key:
            raise UpstreamUnavailable("the pool granted no key", code="auth_failed")
        return self._grant(request, answer)

    async def report(self, key_id: str, kind: str, retry_after: timedelta | None = None) -> bool:
        """Tell the pool what a provider said of a key."""
        body: dict[str, object] = {"poolKeyId": key_id, "kind": kind}
        if retry_after is not None:
            body["retryAfterSeconds"] = retry_after.total_seconds()
        reply = await self._call("report", body)
        return reply is not None and reply.decode(_Reported).retry_with_another_key

    async def release(self, lease: Lease) -> None:
        """End a lease early."""
        await self._call("release", {"leaseId": str(lease.id), "fence": lease.fence})

    async def log_usage(self, events: Sequence[UsageEvent]) -> None:
        """Hand events over; see `KeyPool`.

        Raises:
            DataRefused: the pool will never take one of them.
        """
        if not events:
            return
        body = {"events": [_usage(event) for event in events]}
        reply = await self._send("POST", "log-usage", Deadline.after(_ASK_SECONDS), body)
        if reply.status in {400, 413}:
            raise DataRefused(f"the pool answered {reply.status}")
        if _checked(reply).decode(_Logged).rejected:
            raise DataRefused("the pool refuses an event")

    def _grant(self, request: KeyRequest, answer: _Answer) -> Grant:
        valid_for = timedelta(seconds=answer.valid_for_seconds)
        if "changes" in self._missing or answer.epoch is None:
            valid_for = min(valid_for, _WITHOUT_CHANGES)
        lease = None
        if request.action == "generate-link":
            # A first-generation pool gives no lease; one of our own makes a tap one event.
            lease = Lease(
                answer.lease_id or uuid4(),
                answer.fence,
                answer.lease_expires_at or self._clock.now() + _LEASE,
            )
        return Grant(
            key_id=answer.pool_key_id,
            key=self._redactor.learn(Secret(answer.pool_key), lasting=True),
            store=answer.store or request.store,
            user_ref=answer.user_ref or str(request.auth),
            device_id=None if answer.device_ref is None else str(answer.device_ref),
            device_count=answer.device_count,
            valid_for=valid_for,
            lease=lease,
        )

    async def _call(self, path: str, body: object) -> Reply | None:
        """POST something; None when this pool does not have it."""
        if path in self._missing:
            return None
        reply = await self._send("POST", path, Deadline.after(_ASK_SECONDS), body)
        return None if self._is_missing(path, reply) else _checked(reply)

    def _is_missing(self, path: str, reply: Reply) -> bool:
        if reply.status != 404:
            return False
        self._missing.add(path)
        log.info("pool_lacks", endpoint=path)
        return True

    async def _send(self, method: str, path: str, deadline: Deadline, body: object = None) -> Reply:
        return await self._http.send(
            method,
            f"{self._base}{_BASE}/{path}",
            deadline=deadline,
            headers={"Authorization": f"Bearer {self._api_key.reveal()}"},
            json=body,
        )


def _checked(reply: Reply) -> Reply:
    """Return a good reply.

    Raises:
        AppError: the pool does not work, or does not let us in.
    """
    if reply.status == 200:
        return reply
    if reply.status in {401, 403}:
        log.error("pool_refuses_bearer", status=reply.status)
    raise UpstreamUnavailable(f"the pool answered {reply.status}", code="auth_failed")


def _wire(request: KeyRequest) -> dict[str, object]:
    body: dict[str, object] = {
        "userId": str(request.auth),
        "deviceId": request.device_ids[0],
        "action": request.action,
        "hash": "",
        "store": request.store,
        "deviceClass": request.device_class,
        "network": request.network.hex(),
    }
    if request.device_ids[1:]:
        body["formerDeviceIds"] = list(request.device_ids[1:])
    if request.media is not None:
        body["media"] = request.media
    if request.size_bytes is not None:
        body["sizeBytes"] = request.size_bytes
    if request.exclude:
        body["exclude"] = list(request.exclude)
    return body


def _usage(event: UsageEvent) -> dict[str, object]:
    body: dict[str, object] = {
        "eventId": str(event.event_id),
        "at": event.at,
        "userId": event.user_ref,
        "poolKeyId": event.key_id,
        "deviceRef": None if event.device_id is None else int(event.device_id),
        "action": event.action,
        "hash": event.info_hash or "",
        "cached": event.cached,
        "bytes": event.bytes or 0,
        "media": event.media,
        "store": event.store,
        "sizeBytes": event.size_bytes,
        "quality": event.quality,
    }
    return {name: value for name, value in body.items() if value is not None}


def _refusal(answer: _Answer) -> PoolRefusal:
    code = answer.code
    if code is None:
        code = next((c for words, c in _BY_MESSAGE if words.search(answer.message)), "auth_failed")
    limit = answer.limit
    if limit is None and (found := re.search(r"\d+", answer.message)):
        limit = int(found[0][:4])
    wait = answer.retry_after_seconds
    return PoolRefusal(
        answer.message or "The pool refused",
        code=code,
        limit=limit,
        until=answer.until,
        retry_after=None if wait is None else timedelta(seconds=wait),
        user_ref=answer.user_ref,
    )
