"""What pages load: a fixed list of files, each under the digest of its content."""

import hashlib
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.errors import NotFound

_DIRECTORY = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class _File(msgspec.Struct, frozen=True):
    body: bytes
    media_type: str
    digest: str


def _read(name: str) -> _File:
    path = _DIRECTORY / name
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])


_FILES = {name: _read(name) for name in ("configure.js", "icon.svg", "style.css")}


def static_path(name: str) -> str:
    """Return the path of a file; another content has another path."""
    return f"/static/{name}?v={_FILES[name].digest}"


async def static(request: Request) -> Response:
    """Serve a file; one asked for by the digest of what it is now may be kept for ever."""
    file = _FILES.get(request.path_params["name"])
    if file is None:
        raise NotFound("No such file")
    is_present = request.query_params.get("v") == file.digest
    caching = _FOR_EVER if is_present else "no-cache"
    return Response(file.body, media_type=file.media_type, headers={"Cache-Control": caching})


ROUTES = [Route("/static/{name}", static)]
