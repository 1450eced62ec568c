"""The clips of the demo store."""

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from addon.services import State
from addon.stores.demo import CLIP_NAMES, CLIPS
from infra.errors import NotFound
from infra.web import AnyOrigin


async def clip(request: Request[State]) -> Response:
    """Serve a clip, with ranges."""
    name = request.path_params["name"]
    if name not in CLIP_NAMES:
        raise NotFound("No such clip")
    return FileResponse(CLIPS / name, media_type="video/mp4")


ROUTES = [
    Route(
        "/demo/{name}", clip, methods=("GET", "HEAD", "OPTIONS"), middleware=[Middleware(AnyOrigin)]
    )
]
