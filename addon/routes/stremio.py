"""What Stremio asks an addon: the manifest and the stream lists."""

import msgspec
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from addon.media import parse_media_id
from addon.playback.notice import notice_for
from addon.services import Services, State
from addon.streams.present import encode, notice_entry
from addon.urls import MANIFEST_ROUTES, Urls, read_manifest_path, read_stream_path
from addon.user_config import UserConfig
from infra.errors import (
    AppError,
    CallerError,
    ConfigInvalid,
    DatabaseUnavailable,
    NotFound,
    TooMany,
)
from infra.limits import RateLimit
from infra.web import AnyOrigin, ErrorReply, client_address, error_reply

_METHODS = ("GET", "HEAD", "OPTIONS")
_JSON = "application/json; charset=utf-8"
_ID_PREFIXES = ("tt", "kitsu:", "mal:", "anidb:", "tmdb:")
_TYPES = ("movie", "series", "anime")
_MANIFEST_SECONDS = 3600
_EMPTY = b'{"streams":[]}'


async def answer(request: Request[State]) -> Response:
    """Answer whatever lies below `/stremio/torz/`, and the bare manifest."""
    path = request.scope["path"]
    services = request.state["services"]
    config = read_manifest_path(path)
    if config is not None:
        return await _manifest(services, config)
    asked = read_stream_path(path)
    if asked is None:
        raise NotFound("No such page")
    body = await _streams(request, services, asked.config, asked.kind, asked.id)
    return Response(body, media_type=_JSON, headers={"Cache-Control": "no-store"})


async def _streams(
    request: Request[State], services: Services, text: str, kind: str, media_id: str
) -> bytes:
    address = client_address(request.scope, services.settings.trusted_proxies)
    headers = {name.lower(): value for name, value in request.headers.items()}
    device = services.devices.read(address, headers)
    if not services.devices.is_aggregator(headers):  # which is no one network
        _count(services.lists_per_network, device.network.hex())
    config = await services.configs.read(text)
    media = parse_media_id(kind, media_id)
    if media is None:
        return _EMPTY
    _count(services.lists_per_user, _person(config))
    return await services.lists.answer(config, device, media)


def _count(limit: RateLimit, who: str) -> None:
    """Hold a network, or a person, to so many lists a minute."""
    wait = limit.take(who)
    if wait is not None:
        raise TooMany("Too many lists in a minute", retry_after=wait)


def _person(config: UserConfig) -> str:
    return str(hash(tuple((one.code, str(one.auth), one.token) for one in config.stores)))


async def _manifest(services: Services, config: str) -> Response:
    try:
        is_configured = bool(config) and bool((await services.configs.read(config)).stores)
    except ConfigInvalid:
        is_configured = False
    except DatabaseUnavailable:
        is_configured = True  # it may well be: its lists say what is the matter
    body = msgspec.json.encode(manifest(services.settings.addon_name, is_configured))
    caching = f"private, max-age={_MANIFEST_SECONDS}"
    return Response(body, media_type=_JSON, headers={"Cache-Control": caching})


def manifest(addon_name: str, is_configured: bool) -> dict[str, object]:
    """Return the manifest. Clients store it for ever, so every prefix and type is named at once."""
    return {
        "id": "org.chillproxy.addon",
        "version": "1.0.0",
        "name": addon_name,
        "description": "Streams from your debrid stores, with keys that stay on the server.",
        "types": list(_TYPES),
        # In this form nothing is inherited: types and prefixes are told for each resource.
        "resources": [{"name": "stream", "types": list(_TYPES), "idPrefixes": list(_ID_PREFIXES)}],
        "idPrefixes": list(_ID_PREFIXES),
        "catalogs": [],
        "behaviorHints": {
            "configurable": True,
            "configurationRequired": not is_configured,
            "p2p": False,
            "adult": False,
        },
    }


def entry_instead(urls: Urls, addon_name: str) -> ErrorReply:
    """Return how errors look below `/stremio/torz/`: a client shows nothing but entries."""

    def reply(error: AppError, request_id: str) -> Response:
        if isinstance(error, CallerError) and not isinstance(error, ConfigInvalid | TooMany):
            return error_reply(error, request_id)
        entry = notice_entry(notice_for(error), urls, addon_name)
        return Response(b"".join(encode([entry])), media_type=_JSON)

    return reply


ROUTES = [
    Route(path, answer, methods=_METHODS, middleware=[Middleware(AnyOrigin)])
    for path in (*MANIFEST_ROUTES, "/stremio/torz/{rest:path}")
]
