"""Play URLs, and the clips that stand in where nothing can be played."""

from pathlib import Path

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from addon.play_token import Who
from addon.playback.notice import NOTICES, notice_for
from addon.services import Services, State
from addon.streams.assemble import store_accesses
from addon.urls import Urls
from infra.errors import AppError, CallerError, NotFound
from infra.http_client import is_public_address
from infra.log import get_logger
from infra.web import AnyOrigin, ErrorReply, client_address, error_reply

log = get_logger()

_METHODS = ("GET", "HEAD", "OPTIONS")
_CLIPS = Path(__file__).parent.parent / "playback" / "clips"
_NO_STORE = {"Cache-Control": "no-store"}


async def play(request: Request[State]) -> Response:
    """Redirect to the file, for GET and HEAD alike: one tap is many requests of both kinds."""
    services = request.state["services"]
    who = services.tokens.open_who(request.path_params["who"])
    what = services.tokens.open_what(request.path_params["what"])
    if who is None or what is None or await _is_revoked(services, who):
        raise NotFound("No such stream")
    address = client_address(request.scope, services.settings.trusted_proxies)
    user_ip = address if is_public_address(address) else None
    return _redirect(await services.playback.resolve(who, what, user_ip))


async def _is_revoked(services: Services, who: Who) -> bool:
    """Tell whether a saved configuration is gone, or no longer grants what this URL plays with."""
    if not who.saved:
        return False
    config = await services.saved_configs.open(who.saved)
    return config is None or not set(who.stores) <= set(store_accesses(config))


async def notice(request: Request[State]) -> Response:
    """Serve the clip of a code, with ranges."""
    code = request.path_params["code"]
    if code not in NOTICES:
        raise NotFound("No such notice")
    return FileResponse(_CLIPS / f"{code}.mp4", media_type="video/mp4", headers=_NO_STORE)


def clip_instead(urls: Urls) -> ErrorReply:
    """Return how errors look below `/stremio/play/`: a player shows a clip, not a status."""

    def reply(error: AppError, request_id: str) -> Response:
        if isinstance(error, CallerError):
            return error_reply(error, request_id)
        row = notice_for(error)
        getattr(log, row.level)("play_refused", code=row.code, reason=error.message)
        return _redirect(urls.notice(row.code))

    return reply


def _redirect(url: str) -> Response:
    return RedirectResponse(url, 302, headers=_NO_STORE)


_OPEN = [Middleware(AnyOrigin)]
ROUTES = [
    Route("/stremio/play/{who}/{what}/{filename}", play, methods=_METHODS, middleware=_OPEN),
    Route("/stremio/notice/{code}.mp4", notice, methods=_METHODS, middleware=_OPEN),
]
