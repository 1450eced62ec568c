"""The internal pool API: what addons, ours and first-generation ones, ask of the pool.

A rule that says no is status 200 with `allowed: false`; 403 is for callers that may not ask at all.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID, uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chillproxy.api.state import PoolState
from chillproxy.errors import Refused
from chillproxy.models import Action, Grant, KeyRequest, Lease, UsageEvent
from chillproxy.pool import Pool
from infra.errors import CallerError
from infra.web import decode_body, json_response, read_body

_MAX_BODY_BYTES = 64 * 1024
_MAX_USAGE_BYTES = 1024 * 1024
_MAX_EVENTS = 1_000
_LONGEST_POLL = 25.0
_NOBODY = UUID(int=0)
_NEVER = datetime.min.replace(tzinfo=UTC)
_ACTIONS: dict[str, Action] = {"check-cache": "check-cache", "generate-link": "generate-link"}

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Word = Annotated[str, msgspec.Meta(max_length=128)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_UsageAction = Literal["play", "stream-served", "list", "lease", "error"]


class _GetKey(msgspec.Struct, rename="camel"):
    user_id: _Id
    device_id: _Id
    action: _Word = "init"
    hash: _Word | None = None
    store: _Word = "torbox"
    device_class: _Word = ""
    network: _Word = ""
    media: _Word | None = None
    size_bytes: _Count | None = None
    exclude: Annotated[list[_Word], msgspec.Meta(max_length=100)] = []
    former_device_ids: Annotated[list[_Id], msgspec.Meta(max_length=10)] = []


class _Usage(msgspec.Struct, rename="camel"):
    user_id: _Id
    action: _UsageAction
    pool_key_id: _Word = ""
    hash: _Word = ""
    cached: bool | None = None
    bytes: _Count | None = None
    event_id: UUID | None = None
    at: datetime | None = None
    device_id: _Word | None = None
    device_ref: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None
    media: _Word | None = None
    store: _Word | None = None
    size_bytes: _Count | None = None
    quality: _Word | None = None


class _Batch(msgspec.Struct):
    events: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=_MAX_EVENTS)]


class _Rejected(msgspec.Struct):
    index: int
    reason: str


class _Report(msgspec.Struct, rename="camel"):
    pool_key_id: _Word
    kind: _Word
    provider_code: _Word | None = None
    retry_after_seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None
    endpoint: _Word | None = None


class _Release(msgspec.Struct, rename="camel"):
    lease_id: UUID
    fence: _Count


async def get_key(request: Request[PoolState]) -> Response:
    """Say which key a device may use, or why none."""
    pool = _enter(request, "pool", "key:read")
    asked = decode_body(await read_body(request, _MAX_BODY_BYTES), _GetKey)
    try:
        grant = await _grant(pool, asked)
    except Refused as refused:
        return json_response(_refusal(refused))
    return json_response(_granted(grant, await pool.epoch()))


async def log_usage(request: Request[PoolState]) -> Response:
    """Take one event, or up to a thousand; each is stored once."""
    pool = _enter(request, "pool")
    body = await read_body(request, _MAX_USAGE_BYTES)
    batch = _read_batch(body)
    if batch is None:
        accepted = await _store(pool, [decode_body(body, _Usage)])
        return json_response(_stored(1, accepted, []))
    good: list[_Usage] = []
    rejected: list[_Rejected] = []
    for index, text in enumerate(batch.events):
        try:
            good.append(decode_body(bytes(text), _Usage))
        except CallerError as error:
            rejected.append(_Rejected(index, error.message))
    return json_response(_stored(len(good), await _store(pool, good), rejected))


async def report(request: Request[PoolState]) -> Response:
    """Take in what a provider said of a key."""
    pool = _enter(request, "pool")
    said = decode_body(await read_body(request, _MAX_BODY_BYTES), _Report)
    wait = said.retry_after_seconds
    state = await pool.report(
        _key_id(said.pool_key_id), said.kind, None if wait is None else timedelta(seconds=wait)
    )
    return json_response({"keyState": state or "unchanged", "retryWithAnotherKey": bool(state)})


async def release(request: Request[PoolState]) -> Response:
    """End a lease; one that is over, or a stale fence, is no error."""
    pool = _enter(request, "pool")
    asked = decode_body(await read_body(request, _MAX_BODY_BYTES), _Release)
    is_ended = await pool.release(Lease(asked.lease_id, asked.fence, _NEVER))
    return json_response({"success": True, "released": is_ended})


async def changes(request: Request[PoolState]) -> Response:
    """Wait for something to change after an epoch, 25 seconds at most; since 0 answers at once."""
    pool = _enter(request, "pool")
    since = _since(request.query_params.get("since", "0"))
    return json_response(await pool.changes(since, _LONGEST_POLL if since else 0.0))


async def stats(request: Request[PoolState]) -> Response:
    """Count what there is."""
    return json_response(await _enter(request, "pool").stats())


async def health(_request: Request[PoolState]) -> Response:
    """Say that the pool answers, in the shape that first-generation clients know."""
    return json_response({"success": True, "detail": "OK", "data": None, "error": None})


def _enter(request: Request[PoolState], *needed: str) -> Pool:
    """Return the pool to a caller that may ask for it.

    Raises:
        Forbidden: it may not.
    """
    request.state["gate"].check(request.scope, *needed)
    return request.state["pool"]


async def _grant(pool: Pool, asked: _GetKey) -> Grant:
    """Ask as the holder of a UUID, else as the user behind a reference."""
    user = _uuid(asked.user_id)
    if user is None:
        raise Refused("unknown_user")
    request = KeyRequest(
        auth=user,
        device_ids=(asked.device_id, *asked.former_device_ids),
        device_class=asked.device_class,
        store=asked.store,
        action=_ACTIONS.get(asked.action, "init"),  # others count as such, as clients expect
        network=asked.network.encode() or None,
        media=asked.media or asked.hash or None,
        size_bytes=asked.size_bytes,
        exclude=tuple(_key_id(one) for one in asked.exclude),
    )
    try:
        return await pool.get_key(request)
    except Refused as refused:
        if refused.code != "unknown_user":
            raise
        return await pool.get_key(msgspec.structs.replace(request, auth=None, user_ref=user))


def _granted(grant: Grant, epoch: int) -> dict[str, object]:
    said: dict[str, object] = {
        "allowed": True,
        "poolKey": grant.key.reveal(),
        "poolKeyId": str(grant.key_id),
        "deviceCount": grant.device_count,
        "deviceLimit": grant.device_limit,
        "store": grant.store,
        "userRef": str(grant.user_ref),
        "deviceRef": grant.device_id,
        "validForSeconds": int(grant.valid_for.total_seconds()),
        "epoch": epoch,
    }
    if grant.lease is not None:
        said |= {
            "leaseId": grant.lease.id,
            "fence": grant.lease.fence,
            "leaseExpiresAt": grant.lease.expires_at,
        }
    return said


def _refusal(refused: Refused) -> dict[str, object]:
    said: dict[str, object] = {
        "allowed": False,
        "message": refused.message,
        "code": refused.code,
        "deviceCount": refused.device_count,
        "deviceLimit": refused.device_limit,
    }
    if refused.user_ref is not None:
        said["userRef"] = str(refused.user_ref)
    if refused.limit is not None:
        said["limit"] = refused.limit
    if refused.until is not None:
        said["until"] = refused.until
    if refused.retry_after is not None:
        said["retryAfterSeconds"] = int(refused.retry_after.total_seconds())
    return said


def _read_batch(body: bytes) -> _Batch | None:
    """Return a batch; None for a body that is one event, and for one that is neither."""
    try:
        return msgspec.json.decode(body, type=_Batch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


async def _store(pool: Pool, said: Sequence[_Usage]) -> int:
    """Store events under the users that their UUIDs or references name."""
    named = {one.user_id: user for one in said if (user := _uuid(one.user_id)) is not None}
    refs = await pool.users.refs(list(named.values()))
    return await pool.log_usage(
        [_event(one, refs.get(named.get(one.user_id, _NOBODY)), pool) for one in said]
    )


def _event(said: _Usage, user_ref: UUID | None, pool: Pool) -> UsageEvent:
    now = pool.usage.clock.now()
    at = said.at or now
    return UsageEvent(
        event_id=said.event_id or uuid4(),
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        action=said.action,
        user_ref=user_ref,
        key_id=_key_id(said.pool_key_id) or None,
        device_id=said.device_ref,
        store=said.store,
        info_hash=said.hash or None,
        media=said.media,
        cached=said.cached,
        bytes=said.bytes,
        size_bytes=said.size_bytes,
        quality=said.quality,
    )


def _stored(count: int, accepted: int, rejected: Sequence[_Rejected]) -> dict[str, object]:
    return {
        "success": True,
        "accepted": accepted,
        "duplicates": count - accepted,
        "rejected": list(rejected),
    }


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _key_id(text: str) -> int:
    """Return the number of a key; 0, which no key has, for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _since(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise CallerError("since: a number is expected", code="validation_error")
    return int(text)


_AT = "/api/v1/internal/pool"
ROUTES = [
    Route(f"{_AT}/get-key", get_key, methods=["POST"]),
    Route(f"{_AT}/log-usage", log_usage, methods=["POST"]),
    Route(f"{_AT}/report", report, methods=["POST"]),
    Route(f"{_AT}/release", release, methods=["POST"]),
    Route(f"{_AT}/changes", changes),
    Route(f"{_AT}/stats", stats),
    Route("/api/v1/health", health),
]
